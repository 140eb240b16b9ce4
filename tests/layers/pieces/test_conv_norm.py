import numpy as np
import pytest
from support.layer_checks import build, image, parameters, run

from kattn.layers import ConvNormActivation


def test_behaves_as_a_layer_should(check_layer):
    check_layer(ConvNormActivation(5, 3, dilation=2, negative_slope=0.01, use_bias=True), image(2, 5, 4, 3))


@pytest.mark.parametrize(("slope", "lowest"), [(0.0, 0.0), (0.01, -0.01)])
def test_negative_values_are_scaled_by_the_slope(slope, lowest):
    layer = build(ConvNormActivation(1, negative_slope=slope), image(1, 1, 1, 1))
    layer.conv.kernel.assign(-np.ones((1, 1, 1, 1)))
    y = run(layer, np.ones((1, 1, 1, 1), "float32"))[0]
    np.testing.assert_allclose(y, lowest, rtol=1e-4)


@pytest.mark.parametrize(("options", "count"), [({}, 4 * 6 + 12), ({"use_bias": True, "kernel_size": 3}, 9 * 24 + 18)])
def test_parameters(options, count):
    assert parameters(build(ConvNormActivation(6, **options), image(1, 4, 4, 4))) == count


def test_needs_a_feature_map():
    with pytest.raises(ValueError, match="ConvNormActivation takes a"):
        ConvNormActivation(4).build((None, 4))
