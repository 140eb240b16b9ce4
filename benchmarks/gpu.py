"""On a GPU: kattn through Keras on JAX against timm in torch, in training and inference, with attention and without.

usage: python benchmarks/gpu.py [--batch 64] [--size 224] [--out gpu.json]
       python benchmarks/gpu.py --device cpu --size 64 --batch 4 --steps 2 --rounds 2     (a trial without a GPU)

Needs kattn, `jax[cuda12]` (or another JAX that sees the GPU), torch with CUDA, and timm; no TensorFlow, no torchvision.
Where JAX and torch do not go into one environment, --peer-python names the interpreter that has torch and timm. Without
torch or timm only kattn's side runs, and the output says so. Between five and ten minutes on a GPU of which at least
24 GB are free, nearly all of it compiling; fewer --batch where it has less memory.

`resnet50`, `cbam_resnet50` and `afi_resnet50` against timm's `resnet50`, `se_resnet50` against its `seresnet50`.
bfloat16 on both sides, weights in float32: Keras's policy mixed_bfloat16 under jax.jit; torch's autocast under
torch.compile, channels-last. A training step is the forward and backward pass, cross entropy and SGD with momentum.
Every network is a process of its own, on random images that lie on the device; the processes take turns of --steps
steps. Printed are

- images a second, and the ratio of kattn's to timm's in the same round: median, 10th and 90th percentile (goal: at
  least 1.00 for the two that have a twin in timm);
- the share of the rate that a large bfloat16 matrix product reaches in the same run. Floating-point operations are
  twice the multiply-adds of kattn.profile, three times that for training; timm's are counted as its twin's in kattn;
- the most memory in use at one time: jax's peak_bytes_in_use, torch's max_memory_allocated; on a CPU, which keeps no
  such record, the most that the process held, its libraries included.
"""

from __future__ import annotations

import abc
import argparse
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from turns import Talk, in_turns, ratios, spread

# timm's network -> kattn's; the first one has the same structure.
GROUPS = {"resnet50": ("resnet50", "cbam_resnet50", "afi_resnet50"), "seresnet50": ("se_resnet50",)}
MODES = ("inference", "training")
WARM = 3  # steps before a figure
MATRIX = {"gpu": 8192, "cpu": 1024}


class Side(abc.ABC):
    """One network: steps of either mode, and the memory they took."""

    device: str
    macs: int | None = None

    @abc.abstractmethod
    def step(self, mode: str) -> None:
        """Start one step."""

    @abc.abstractmethod
    def wait(self) -> None:
        """Until the device has done what was started."""

    def peak(self) -> int:
        """Most bytes in use so far."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def seconds(self, mode: str, steps: int) -> float:
        """Of a step."""
        self.wait()
        started = time.perf_counter()
        for _ in range(steps):
            self.step(mode)
        self.wait()
        return (time.perf_counter() - started) / steps


class Ours(Side):
    """A network of the zoo, by Keras's stateless functions under jax.jit."""

    def __init__(self, name: str, batch: int, size: int, device: str) -> None:
        import jax
        import keras
        import numpy as np

        import kattn

        self.jax = jax
        self.device = device_of(jax, device)
        keras.config.set_dtype_policy("mixed_bfloat16")
        model = kattn.zoo.create(
            name, input_shape=(size, size, 3), include_preprocessing=False, classifier_activation=None
        )
        cost = kattn.profile(model)
        self.macs = cost.macs + cost.matmul_macs
        optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
        cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        rng = np.random.default_rng(0)
        images = jax.device_put(rng.normal(size=(batch, size, size, 3)).astype("float32"))
        labels = jax.device_put(rng.integers(0, 1000, batch))
        weights = [variable.value for variable in model.trainable_variables]
        others = [variable.value for variable in model.non_trainable_variables]

        def infer(weights: Any, others: Any, images: Any) -> Any:
            return model.stateless_call(weights, others, images, training=False)[0]

        def loss_of(weights: Any, others: Any, images: Any, labels: Any) -> Any:
            scores, others = model.stateless_call(weights, others, images, training=True)
            return cross_entropy(labels, scores), others

        def update(weights: Any, others: Any, slots: Any, images: Any, labels: Any) -> Any:
            (_, others), gradients = jax.value_and_grad(loss_of, has_aux=True)(weights, others, images, labels)
            weights, slots = optimizer.stateless_apply(slots, gradients, weights)
            return weights, others, slots

        self.infer, self.update = jax.jit(infer), jax.jit(update, donate_argnums=(0, 1, 2))
        self.images, self.labels = images, labels
        self.optimizer, self.variables = optimizer, model.trainable_variables
        self.state: Any = (weights, others)
        self.result: Any = None

    def step(self, mode: str) -> None:
        """Inference leaves its result, training its state."""
        if mode == "inference":
            self.result = self.infer(*self.state[:2], self.images)
            return
        if len(self.state) == 2:
            self.optimizer.build(self.variables)
            self.state = (*self.state, [variable.value for variable in self.optimizer.variables])
        self.state = self.update(*self.state, self.images, self.labels)

    def wait(self) -> None:
        """For the result and the state."""
        self.jax.block_until_ready((self.state, self.result))

    def peak(self) -> int:
        """By JAX's allocator, where the device has one."""
        kept = self.jax.devices()[0].memory_stats()
        return kept["peak_bytes_in_use"] if kept else super().peak()


class Theirs(Side):
    """A network of timm."""

    def __init__(self, name: str, batch: int, size: int, device: str) -> None:
        import torch

        try:
            import torchvision  # noqa: F401
        except Exception:  # there is none for this torch, or it does not load; these two networks need nothing of it
            from export_speed import StandIn

            sys.meta_path.insert(0, StandIn())
        import timm

        if device == "gpu" and not torch.cuda.is_available():
            raise ImportError("torch sees no GPU")
        self.torch, self.where = torch, "cuda" if device == "gpu" else "cpu"
        self.device = torch.cuda.get_device_name() if device == "gpu" else "cpu"
        torch.backends.cudnn.benchmark = True
        place = {"device": self.where, "memory_format": torch.channels_last}
        network = timm.create_model(name, pretrained=False).to(**place)
        self.images = torch.randn(batch, 3, size, size).to(**place)
        self.labels = torch.randint(0, 1000, (batch,), device=self.where)
        self.optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9)
        self.network, self.compiled = network, torch.compile(network)

    def step(self, mode: str) -> None:
        """Under autocast, as torch's users do it."""
        torch = self.torch
        training = mode == "training"
        if self.network.training != training:
            self.network.train(training)
        if not training:
            with torch.inference_mode(), torch.autocast(self.where, torch.bfloat16):
                self.compiled(self.images)
            return
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.where, torch.bfloat16):
            loss = torch.nn.functional.cross_entropy(self.compiled(self.images), self.labels)
        loss.backward()
        self.optimizer.step()

    def wait(self) -> None:
        """For all that was started on the GPU."""
        if self.where == "cuda":
            self.torch.cuda.synchronize()

    def peak(self) -> int:
        """By torch's allocator."""
        return self.torch.cuda.max_memory_allocated() if self.where == "cuda" else super().peak()


def device_of(jax: Any, device: str) -> str:
    """The name of JAX's device, if it is of the kind that was asked for."""
    if jax.default_backend() != device:
        raise SystemExit(
            f"JAX computes on {jax.default_backend()}, not on {device}: install a JAX for this machine's GPU "
            "(pip install 'jax[cuda12]'), or say --device cpu for a trial."
        )
    return jax.devices()[0].device_kind


def matrix_rate(device: str) -> float:
    """Floating-point operations a second of a large bfloat16 matrix product."""
    import jax
    from jax import numpy as jnp

    device_of(jax, device)
    side = MATRIX[device]
    matrix = jnp.ones((side, side), "bfloat16")
    multiply: Callable[..., Any] = jax.jit(lambda a, b: a @ b)
    best = float("inf")
    for number in range(13):
        started = time.perf_counter()
        for _ in range(5):
            product = multiply(matrix, matrix)
        product.block_until_ready()
        if number > 2:
            best = min(best, (time.perf_counter() - started) / 5)
    return 2 * side**3 / best


def take_turns(library: str, name: str, arguments: argparse.Namespace) -> None:
    """The process of one network, or of the matrix product."""
    talk = Talk()
    if library == "matrix":
        talk.answer(rate=matrix_rate(arguments.device))
        return
    try:
        make = Theirs if library == "timm" else Ours
        side = make(name, arguments.batch, arguments.size, arguments.device)
    except ImportError as error:
        if library == "kattn":
            raise
        talk.answer(missing=str(error))
        return
    peaks = {}
    for mode in MODES:  # inference first: what training needs beside it must not count there
        side.seconds(mode, WARM)
        peaks[mode] = side.peak()
    if "tensorflow" in sys.modules:
        raise SystemExit("TensorFlow was imported.")
    talk.answer(device=side.device, macs=side.macs, peaks=peaks)
    while True:
        talk.answer(**{mode: side.seconds(mode, arguments.steps) for mode in MODES})


def measure(peer: str, rate: float, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """The rows of one network of timm and its rivals."""
    names = {f"timm {peer}": "timm", **{f"kattn {ours}": "kattn" for ours in GROUPS[peer]}}
    commands = {name: command(library, name.split()[1], arguments) for name, library in names.items()}
    first, turns = in_turns(commands, arguments.rounds, environment(arguments.device))
    twin = f"kattn {GROUPS[peer][0]}"
    if reason := first[f"timm {peer}"].get("missing"):
        print(f"LEFT OUT: timm's {peer} and the ratios to it ({reason})")
    rows = []
    for mode in MODES:
        for name, seen in turns.items():
            times = [turn[mode] for turn in seen]
            speed = arguments.batch / statistics.median(times)
            work = 2 * (first[name]["macs"] or first[twin]["macs"]) * (3 if mode == "training" else 1)
            row = {
                "network": name,
                "mode": mode,
                "device": first[name]["device"],
                "images_per_second": speed,
                "matrix_share": speed * work / rate,
                "peak_mib": first[name]["peaks"][mode] / 2**20,
            }
            if name != f"timm {peer}" and f"timm {peer}" in turns:
                row["to_timm"] = ratios(times, [turn[mode] for turn in turns[f"timm {peer}"]])
            rows.append(row)
            print(line_of(row, peer), flush=True)
    return rows


def line_of(row: dict[str, Any], peer: str) -> str:
    ratio = f"   x{spread(row['to_timm'])} of timm's {peer}" if "to_timm" in row else ""
    return (
        f"{row['mode']:<10}{row['network']:<22}{row['images_per_second']:10.1f} images/s  "
        f"{100 * row['matrix_share']:5.1f} % of the matrix rate  {row['peak_mib']:9.0f} MiB{ratio}"
    )


def command(library: str, name: str, arguments: argparse.Namespace) -> list[str]:
    python = arguments.peer_python if library == "timm" else sys.executable
    settings = [f"--{key}={getattr(arguments, key)}" for key in ("batch", "size", "steps", "device")]
    return [python, __file__, "--one", library, name, *settings]


def environment(device: str) -> dict[str, str]:
    shared = {"KERAS_BACKEND": "jax", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    # torch's threads would spin while they wait, on cores that others compute on.
    return shared | ({"JAX_PLATFORMS": "cpu", "OMP_WAIT_POLICY": "passive"} if device == "cpu" else {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--steps", type=int, default=20, help="steps of a turn")
    parser.add_argument("--rounds", type=int, default=10, help="turns of each network")
    parser.add_argument("--device", choices=("gpu", "cpu"), default="gpu")
    parser.add_argument("--peer-python", default=sys.executable, help="interpreter that has torch and timm")
    parser.add_argument("--out", type=Path, help="write the rows as JSON")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        take_turns(*arguments.one, arguments)
        return
    first, _ = in_turns({"matrix": command("matrix", "", arguments)}, 0, environment(arguments.device))
    rate = first["matrix"]["rate"]
    print(f"batch {arguments.batch}, {arguments.size}x{arguments.size}, bfloat16, on {arguments.device}")
    print(f"matrix product of {MATRIX[arguments.device]}: {rate / 1e12:.2f} TFLOP/s")
    rows = [row for peer in GROUPS for row in measure(peer, rate, arguments)]
    print("devices:", ", ".join(sorted({row["device"] for row in rows})))
    if arguments.out:
        from kattn.files import write_json

        content = {"matrix_flops": rate, "batch": arguments.batch, "size": arguments.size, "rows": rows}
        write_json(arguments.out, content)


if __name__ == "__main__":
    main()
