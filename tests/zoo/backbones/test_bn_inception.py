"""BN-Inception has the published sizes; SE stands behind every module and BAM at strides 4, 8 and 16."""

import numpy as np
import pytest
from support.models import assert_published, layers_of, pixels, rows_of

from kattn.zoo import create


@pytest.mark.parametrize("row", rows_of("bn_inception"), ids=lambda row: row["call"])
def test_parameters_and_macs_are_the_published_ones(row):
    assert_published(row)


def test_se_stands_behind_every_module():
    model = create("se_bn_inception", input_shape=(64, 64, 3))
    widths = [model.get_layer(name).output.shape[-1] for name in layers_of(model, "SqueezeExcite")]
    assert widths == [256, 320, 576, 576, 576, 608, 608, 1056, 1024, 1024]


def test_bam_stands_at_strides_4_8_and_16():
    model = create("bam_bn_inception", input_shape=(64, 64, 3))
    maps = [tuple(model.get_layer(name).output.shape[1:]) for name in layers_of(model, "BottleneckAttention")]
    assert maps == [(16, 16, 192), (8, 8, 320), (4, 4, 608)]


def test_odd_and_open_sizes_give_probabilities():
    outputs = create("abn_bn_inception", input_shape=(None, None, 3), classes=4)(pixels((2, 75, 53, 3)))
    for y in outputs.values():
        np.testing.assert_allclose(np.asarray(y).sum(-1), 1, rtol=1e-5)
