import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from kattn.layers import MultiLevelStyleAttention


def image(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def test_behaves_as_a_layer_should(check_layer):
    inputs = image(2, 6, 4, 6), image(2, 3, 4, 6), image(2, 3, 2, 6), image(2, 2, 3, 6)
    check_layer(MultiLevelStyleAttention(return_attention=True), *inputs)


def test_parameters_are_the_published_count():
    layer = MultiLevelStyleAttention()
    layer.build([(None, 8, 8, 512), (None, 8, 8, 512), (None, 4, 4, 512), (None, 4, 4, 512)])
    assert layer.count_params() == 4_461_056


@settings(max_examples=6, deadline=None, derandomize=True)
@given(st.integers(2, 7), st.integers(2, 7), st.integers(0, 99))
def test_the_content_decides_the_size_and_only_the_styles_pixels_count(height, width, seed):
    """Odd sides too: the deeper level is pooled with floor. Mirroring a style leaves its collection of pixels."""
    content = image(1, height, width, 4, seed=seed), image(1, height // 2, width // 2, 4, seed=seed)
    style = image(1, 3, 4, 4, seed=seed + 1), image(1, 2, 2, 4, seed=seed + 1)
    layer = MultiLevelStyleAttention()
    y = ops.convert_to_numpy(layer([content[0], style[0], content[1], style[1]]))
    mirrored = layer([content[0], style[0][:, ::-1].copy(), content[1], style[1][:, :, ::-1].copy()])
    assert y.shape == content[0].shape and np.all(np.isfinite(y))
    np.testing.assert_allclose(ops.convert_to_numpy(mirrored), y, atol=1e-4)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(None, 4, 4, 6)] * 3, "list of 4 feature maps"),
        ([(None, 4, 4, 6), (None, 4, 4, 6), (None, 2, 2, 8), (None, 2, 2, 8)], "same channels"),
    ],
)
def test_bad_inputs_are_named(shapes, message):
    with pytest.raises(ValueError, match=message):
        MultiLevelStyleAttention().build(shapes)
