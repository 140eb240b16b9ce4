"""Random crops, CutMix and RandAugment are drawn as torchvision, the authors and timm draw them."""

import numpy as np
import pytest
from scipy.stats import ks_2samp

from conformance.tables import FILE
from kattn.data.augmentation.augment import crop_box, cut_box
from kattn.data.augmentation.rand_augment import STRONGEST

TABLES = np.load(FILE)
HEIGHT, WIDTH = 500, 375
DRAWS = 20_000


def crops(count=DRAWS, seed=0):
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        top, left, rows, columns = crop_box(HEIGHT, WIDTH, rng, 0.08)
        assert 0 <= top <= HEIGHT - rows and 0 <= left <= WIDTH - columns
        free = max(HEIGHT - rows, 1), max(WIDTH - columns, 1)
        found.append((rows * columns / (HEIGHT * WIDTH), np.log(columns / rows), top / free[0], left / free[1]))
    return np.array(found)


def cuts(count=DRAWS, seed=0):
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        top, bottom, left, right = cut_box(32, 32, rng, rng.beta(1.0, 1.0))
        covers = [top <= row < bottom and left <= column < right for row, column in ((16, 16), (0, 0))]
        found.append(((bottom - top) * (right - left) / 32**2, *covers))
    return np.array(found, float)


@pytest.mark.parametrize(("column", "what"), list(enumerate(["area", "shape", "top", "left"])))
def test_random_crops_are_distributed_as_torchvision_s(column, what):
    assert ks_2samp(crops()[:, column], TABLES["crops"][:, column]).pvalue > 0.05, what


def test_random_crops_of_a_square_keep_torchvision_s_share_and_rarely_take_it_whole():
    rng = np.random.default_rng(0)
    area = np.array([np.prod(crop_box(224, 224, rng, 0.08)[2:]) / 224**2 for _ in range(DRAWS)])
    assert abs(area.mean() - 0.478) < 0.005
    assert (area > 0.98).mean() < 0.01


def test_an_image_too_narrow_for_any_window_gives_its_middle():
    assert crop_box(10, 100, np.random.default_rng(0), 1.0) == (0, 43, 10, 13)
    assert crop_box(100, 10, np.random.default_rng(0), 1.0) == (43, 0, 13, 10)


def test_cutmix_replaces_the_share_that_the_authors_replace():
    ours, theirs = cuts(), TABLES["cuts"]
    assert ks_2samp(ours[:, 0], theirs[:, 0]).pvalue > 0.05
    np.testing.assert_allclose(ours.mean(axis=0), theirs.mean(axis=0), atol=0.02)  # share, centre, corner
    assert abs(ours[:, 0].mean() - 0.303) < 0.01


def test_the_strongest_rand_augment_is_magnitude_ten():
    assert STRONGEST == 10
