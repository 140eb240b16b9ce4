"""`python tests/conformance/tables.py`: write the tables of the other packages' results that the suite compares with.

Needs torch and torchvision; what it writes is committed, so that the suite needs neither.
"""

from pathlib import Path

import numpy as np

FILE = Path(__file__).with_name("tables.npz")
DRAWS = 5000
SIZE = 500, 375  # height and width of the image that is cropped


def crops():
    """Area, log of the shape and relative position of torchvision's random resized crops: (draws, 4)."""
    import torch
    from torchvision.transforms import RandomResizedCrop

    torch.manual_seed(0)
    image = torch.zeros(3, *SIZE)
    found = [RandomResizedCrop.get_params(image, (0.08, 1.0), (3 / 4, 4 / 3)) for _ in range(DRAWS)]
    return np.array([described(*box, *SIZE) for box in found])


def described(top, left, rows, columns, height, width):
    """A window by what does not depend on the image's size."""
    free = max(height - rows, 1), max(width - columns, 1)
    return rows * columns / (height * width), np.log(columns / rows), top / free[0], left / free[1]


def cuts():
    """Replaced share, and whether centre and corner are covered, of the authors' CutMix boxes: (draws, 3)."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(DRAWS):
        share = rng.beta(1.0, 1.0)
        width = height = 32
        cut = int(32 * np.sqrt(1.0 - share))
        x, y = rng.integers(width), rng.integers(height)
        x1, x2 = np.clip([x - cut // 2, x + cut // 2], 0, width)
        y1, y2 = np.clip([y - cut // 2, y + cut // 2], 0, height)
        covers = [y1 <= row < y2 and x1 <= column < x2 for row, column in ((16, 16), (0, 0))]
        found.append(((x2 - x1) * (y2 - y1) / (width * height), *covers))
    return np.array(found, float)


STEPS, SHAPE, CLIP = 60, (5, 4), 0.3
RATES = {
    "drop": [0.1] * 30 + [0.01] * 30,
    "warmup": [0.1 * (i + 1) / 10 for i in range(10)] + [0.05 * (1 + np.cos(np.pi * i / 50)) for i in range(50)],
}
SGDS = {"plain": {}, "nesterov": {"nesterov": True}, "decay": {"weight_decay": 1e-2}}


def slope(weights, target):
    """Gradient of a quartic bowl: it changes along the way, as a network's does."""
    return 0.1 * (weights - target) ** 3 + 0.05 * (weights - target)


def start_and_target():
    rng = np.random.default_rng(7)
    return rng.standard_normal(SHAPE), rng.standard_normal(SHAPE)


def trajectory(rates, make):
    """Weights after each step of a torch optimizer: (steps, *shape)."""
    import torch

    start, target = start_and_target()
    weights = torch.nn.Parameter(torch.tensor(start))
    optimizer = make([weights])
    found = []
    for rate in rates:
        optimizer.param_groups[0]["lr"] = rate
        weights.grad = torch.tensor(slope(weights.detach().numpy(), target))
        optimizer.step()
        found.append(weights.detach().numpy().copy())
    return np.array(found)


def trajectories():
    """Every SGD under every course of the rate, and AdamW."""
    import torch

    found = {
        f"sgd_{name}_{course}": trajectory(rates, lambda w, o=options: torch.optim.SGD(w, 0.1, momentum=0.9, **o))
        for course, rates in RATES.items()
        for name, options in SGDS.items()
    }
    adam = trajectory(RATES["warmup"], lambda w: torch.optim.AdamW(w, 0.1, weight_decay=0.05))
    return found | {"adamw_warmup": adam}


def clipped():
    """Weights of torch's SGD behind its clipping of the whole gradient's norm."""
    import torch

    def make(weights):
        optimizer = torch.optim.SGD(weights, 0.1, momentum=0.9)
        optimizer.register_step_pre_hook(lambda *_: torch.nn.utils.clip_grad_norm_(weights, CLIP) and None)
        return optimizer

    return trajectory(RATES["drop"], make)


def rates():
    """Torch's schedulers, the rate of every step: a warm-up with cosine, and milestones."""
    import torch

    def course(make):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 0.1)
        scheduler = make(optimizer)
        found = []
        for _ in range(STEPS):
            found.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        return np.array(found)

    schedulers = torch.optim.lr_scheduler

    def warm_cosine(optimizer):
        warm = schedulers.LinearLR(optimizer, start_factor=0.1, total_iters=9)
        cosine = schedulers.CosineAnnealingLR(optimizer, T_max=50)
        return schedulers.SequentialLR(optimizer, [warm, cosine], milestones=[10])

    return {
        "rates_cosine": course(warm_cosine),
        "rates_step": course(lambda optimizer: schedulers.MultiStepLR(optimizer, [30, 45], gamma=0.1)),
    }


def entropies():
    """Torch's cross-entropy, smoothed, of rows and of an attention branch network's two outputs, with gradients."""
    import torch

    logits, labels, rows = some_logits()
    found = {}
    for name, target, options in (
        ("plain", torch.tensor(labels), {}),
        ("smoothed", torch.tensor(labels), {"label_smoothing": 0.1}),
        ("rows", torch.tensor(rows), {}),
    ):
        both = [torch.tensor(one, requires_grad=True) for one in logits]
        loss = sum(torch.nn.functional.cross_entropy(one, target, **options) for one in both)
        loss.backward()
        found[f"entropy_{name}"] = np.array(loss.item())
        found[f"entropy_{name}_gradient"] = np.array([one.grad.numpy() for one in both])
    return found


def some_logits():
    """Logits of two outputs for 16 images, their labels, and rows of probabilities."""
    rng = np.random.default_rng(11)
    return 5 * rng.standard_normal((2, 16, 10)), rng.integers(0, 10, 16), rng.dirichlet(np.ones(10), 16)


def erasures():
    """Rows and columns that torchvision's random erasing erases of 32x32 pixels: (draws, 2)."""
    import torch
    from torchvision.transforms import RandomErasing

    torch.manual_seed(2)
    image, found = torch.zeros(3, 32, 32), []
    while len(found) < DRAWS:
        _, _, rows, columns, _ = RandomErasing.get_params(image, (0.02, 0.33), (0.3, 1 / 0.3), [0.0])
        found.append((rows, columns))
    return np.array(found)


def blends():
    """Shares of mixup, drawn by torch: (draws,)."""
    import torch

    torch.manual_seed(3)
    return torch.distributions.Beta(0.2, 0.2).sample((DRAWS,)).numpy()


TORCHVISION = (
    "densenet121",
    "densenet161",
    "densenet169",
    "densenet201",
    "mobilenet_v2",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext50_32x4d",
    "resnext101_64x4d",
    "shufflenet_v2_x0_5",
    "shufflenet_v2_x1_0",
    "shufflenet_v2_x1_5",
    "shufflenet_v2_x2_0",
    "squeezenet1_1",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
    "wide_resnet50_2",
    "wide_resnet101_2",
)
TIMM = {"mobilenet_v1": "mobilenetv1_100", "xception": "legacy_xception", "inception_resnet_v2": "inception_resnet_v2"}
VALUES, NETWORKS = 4000, 12  # weights that a standard deviation is taken from, where so many networks have them
NO_GROUPS = 0, 0, 0, 0


def made_by_torch(name):
    """The untrained network of torchvision or timm."""
    if name in TORCHVISION:
        import torchvision

        return torchvision.models.get_model(name, weights=None)
    import timm

    return timm.create_model(TIMM[name], pretrained=False)


def started(network):
    """First weights of convolutions and linear layers by their sizes in torch; a bias's are (filters, 0, 0, 0)."""
    import torch

    found = {}
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            for weights in (module.weight, module.bias):
                if weights is not None:
                    key = (*weights.shape, *NO_GROUPS)[:4]
                    found.setdefault(key, []).append(weights.detach().numpy().ravel())
    return {key: np.concatenate(values) for key, values in found.items()}


def starts(name):
    """Sizes of a network's layers and standard deviation of their first weights: (layers, 4) and (layers,)."""
    import torch

    torch.manual_seed(0)
    squares, counts = {}, {}
    for _ in range(NETWORKS):
        for key, values in started(made_by_torch(name)).items():
            if counts.get(key, 0) < VALUES:
                squares[key] = squares.get(key, 0.0) + np.square(values, dtype="float64").sum()
                counts[key] = counts.get(key, 0) + values.size
        if all(counts[key] >= VALUES for key in counts if squares[key]):
            break
    return {
        f"start_{name}_sizes": np.array(list(squares), "int32"),
        f"start_{name}": np.array([np.sqrt(squares[key] / counts[key]) for key in squares], "float32"),
    }


if __name__ == "__main__":
    tables = {"crops": crops().astype("float32"), "cuts": cuts().astype("float32")} | trajectories()
    tables |= {"sgd_clipped": clipped(), "erasures": erasures(), "blends": blends()} | rates() | entropies()
    for network in (*TORCHVISION, *TIMM):
        tables |= starts(network)
    np.savez_compressed(FILE, **tables)
