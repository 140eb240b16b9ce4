import numpy as np
import pytest
from support.layer_checks import build, check_free_sizes, image, parameters, randomise, run

from kattn.layers import AggregatedBottleneck


@pytest.mark.parametrize(("filters", "strides", "groups"), [(8, 1, 2), (12, 2, 1)])
def test_behaves_as_a_layer_should(check_layer, filters, strides, groups):
    check_layer(AggregatedBottleneck(filters, strides, groups=groups), image(2, 5, 6, 8))


def test_takes_maps_of_unknown_size():
    check_free_sizes(AggregatedBottleneck(4, 2, groups=2), image(2, 5, 4, 4))


def test_parameters_are_those_of_resnexts_block():
    """A block of ResNeXt-50 32x4d: 256 channels, 128 inside in 32 groups."""
    assert parameters(build(AggregatedBottleneck(256), image(1, 1, 1, 256))) == 256 * 128 * 2 + 128 * 4 * 9 + 4 * 256


def test_a_branch_of_nothing_leaves_the_activated_input():
    x = image(2, 3, 4, 8)
    layer = build(AggregatedBottleneck(8, groups=2), x)
    randomise(layer)
    layer.norm3.gamma.assign(np.zeros(8))
    layer.norm3.beta.assign(np.zeros(8))
    np.testing.assert_allclose(run(layer, x)[0], np.maximum(x, 0), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"), [({"strides": 0}, "at least 1"), ({"groups": 3}, "groups must divide the width 4")]
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        AggregatedBottleneck(8, **options)
