import numpy as np
import pytest

from kattn.layers import CBAM


def image(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


@pytest.mark.representative
def test_behaves_as_a_layer_should(check_layer):
    check_layer(CBAM(reduction=4), image(2, 6, 5, 8))


def test_every_pool_behaves(check_layer):
    layer = CBAM(reduction=2, pools=("avg", "max", "lp", "lse"), return_attention=True)
    check_layer(layer, image(2, 4, 4, 4), huge=1e3, allow=("Cast",))  # ONNX keeps one in the pools lp and lse


def test_starts_with_a_spatial_gate_of_one_half():
    _, gate = CBAM(return_attention=True)(image(2, 6, 5, 8))
    np.testing.assert_array_equal(np.asarray(gate), 0.5)


def test_without_the_spatial_gate_it_is_a_channel_gate():
    x = image(2, 6, 5, 8)
    y = np.asarray(CBAM(reduction=2, spatial=False)(x))
    gate = (y * x).sum((1, 2), keepdims=True) / (x * x).sum((1, 2), keepdims=True)
    np.testing.assert_allclose(y, x * gate, atol=1e-5)


@pytest.mark.parametrize(("channels", "count"), [(256, 8564), (64, 2 * 64 * 4 + 4 + 64 + 100)])
def test_parameters_are_the_published_count(channels, count):
    layer = CBAM()
    layer.build((None, 7, 7, channels))
    assert sum(np.prod(w.shape) for w in layer.trainable_weights) == count


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pools": ("median",)}, "pools must be some of"),
        ({"pools": ()}, "pools must be some of"),
        ({"kernel_size": 4}, "must be odd"),
        ({"spatial": False, "return_attention": True}, "returns the spatial gate"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        CBAM(**options)
