"""Random crops against torchvision itself; tests/conformance compares with a table of its draws."""

import numpy as np
from scipy.stats import ks_2samp

from kattn.data.augment import crop_box

HEIGHT, WIDTH, DRAWS = 500, 375, 20_000


def test_random_crops_are_drawn_as_torchvision_draws_them():
    import torch
    from torchvision.transforms import RandomResizedCrop

    torch.manual_seed(3)
    image = torch.zeros(3, HEIGHT, WIDTH)
    theirs = [RandomResizedCrop.get_params(image, (0.08, 1.0), (3 / 4, 4 / 3)) for _ in range(DRAWS)]
    rng = np.random.default_rng(5)
    ours = [crop_box(HEIGHT, WIDTH, rng, 0.08) for _ in range(DRAWS)]
    for value in (lambda box: box[2] * box[3], lambda box: box[3] / box[2], lambda box: box[0], lambda box: box[1]):
        assert ks_2samp([value(box) for box in ours], [value(box) for box in theirs]).pvalue > 0.05
