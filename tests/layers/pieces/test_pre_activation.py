import numpy as np
import pytest
from support.layer_checks import build, check_free_sizes, image, parameters, randomise, run

from kattn.layers import PreActivationBottleneck


def test_behaves_as_a_layer_should(check_layer):
    check_layer(PreActivationBottleneck(12, strides=2), image(2, 7, 6, 8))


def test_takes_maps_of_unknown_size():
    check_free_sizes(PreActivationBottleneck(8, strides=2), image(2, 7, 6, 4))


def test_parameters_are_the_published_count():
    channels = 256
    count = parameters(build(PreActivationBottleneck(channels), image(1, 1, 1, channels)))
    assert count == 17 * channels**2 // 16 + 3 * channels


def test_the_shortcut_is_the_input_where_the_shape_stays():
    x = image(2, 4, 4, 8)
    layer = build(PreActivationBottleneck(8), x)
    layer.conv3.kernel.assign(np.zeros(layer.conv3.kernel.shape))
    np.testing.assert_array_equal(run(layer, x)[0], x)


def test_the_shortcut_takes_the_activated_input_where_the_shape_changes():
    x = image(2, 5, 4, 8)
    layer = build(PreActivationBottleneck(6, strides=2), x)
    randomise(layer)
    layer.conv3.kernel.assign(np.zeros(layer.conv3.kernel.shape))
    activated = np.maximum(run(layer.norm1, x)[0], 0)[:, ::2, ::2]
    want = activated @ np.asarray(layer.shortcut.get_weights()[0][0, 0])
    np.testing.assert_allclose(run(layer, x)[0], want, atol=1e-5)


def test_bad_options_are_named():
    with pytest.raises(ValueError, match="at least 1"):
        PreActivationBottleneck(8, strides=0)
