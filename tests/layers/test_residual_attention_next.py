import numpy as np
import pytest
from support.layer_checks import build, image, parameters, randomise, run

from kattn.layers import ResidualAttentionNeXt


def test_behaves_as_a_layer_should(check_layer):
    check_layer(ResidualAttentionNeXt(1, "spatial", groups=2, trunk_units=1, return_attention=True), image(2, 5, 4, 8))


@pytest.mark.parametrize(("channels", "depth", "units"), [(256, 3, 12), (512, 2, 9), (1024, 1, 6)])
def test_parameters_are_those_of_its_units_and_two_convolutions(channels, depth, units):
    half = channels // 2
    unit = 2 * channels * half + 9 * half * half // 32 + 4 * half + 2 * channels
    layer = build(ResidualAttentionNeXt(depth), image(1, 1, 1, channels))
    assert parameters(layer) == units * unit + 2 * channels**2 + 2 * channels


def test_the_output_is_activated_and_the_mask_a_gate():
    x = image(2, 6, 5, 8)
    layer = build(ResidualAttentionNeXt(2, groups=2, return_attention=True), x)
    randomise(layer)
    y, mask = run(layer, x)
    assert y.min() == 0 < y.max() and 0 <= mask.min() < mask.max() <= 1 and np.isfinite(y).all()


def test_groups_that_do_not_divide_the_width_are_named():
    with pytest.raises(ValueError, match="groups must divide the width 4"):
        build(ResidualAttentionNeXt(1, groups=3), image(1, 2, 2, 8))
