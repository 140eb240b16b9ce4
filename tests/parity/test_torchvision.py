"""Random crops and initial weights against torchvision itself; tests/conformance compares with tables of its draws."""

import numpy as np
import pytest
from conformance.tables import starts
from conformance.test_initial_weights import assert_near, built, ratios
from scipy.stats import ks_2samp

from kattn.data.augmentation.augment import crop_box

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


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18", "shufflenet_v2_x0_5", "vgg16_bn"])
def test_a_network_starts_as_torchvision_s_of_today(name):
    sizes, deviations = starts(name).values()
    theirs = {tuple(row): float(deviation) for row, deviation in zip(sizes.tolist(), deviations, strict=True)}
    assert_near(ratios(built(name), theirs.get))
