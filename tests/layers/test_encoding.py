import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.layer_checks import PROPERTY, build, check_free_sizes, image, parameters, randomise, run

from kattn.layers import Encoding

SIDE = st.integers(1, 6)


def literal(layer, x):
    """With every residual formed."""
    codewords, scale = (np.asarray(v, "float64") for v in layer.get_weights())
    flat = x.reshape(x.shape[0], -1, 1, x.shape[-1]).astype("float64")
    residuals = flat - codewords
    logits = scale * (residuals**2).sum(axis=-1)
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    return (weights[..., None] * residuals).sum(axis=1), weights.reshape(*x.shape[:3], -1)


def test_behaves_as_a_layer_should(check_layer):
    check_layer(Encoding(5, return_attention=True), image(2, 4, 3, 6))


def test_takes_maps_of_unknown_size():
    check_free_sizes(Encoding(5, return_attention=True), image(2, 4, 3, 6))


@PROPERTY
@given(SIDE, SIDE, st.integers(1, 9), st.integers(1, 7))
def test_the_two_products_give_what_forming_the_residuals_gives(height, width, channels, codes):
    x = image(2, height, width, channels)
    layer = build(Encoding(codes, return_attention=True), x)
    randomise(layer)
    for got, want in zip(run(layer, x), literal(layer, x), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-4)


@PROPERTY
@given(SIDE, SIDE, st.integers(0, 99))
def test_the_order_of_the_positions_does_not_matter(height, width, seed):
    x = image(2, height, width, 4)
    layer = build(Encoding(3), x)
    flat = x.reshape(2, -1, 4)
    order = np.random.default_rng(seed).permutation(height * width)
    np.testing.assert_allclose(run(layer, flat[:, order].reshape(x.shape))[0], run(layer, x)[0], atol=1e-4)


def test_initial_codewords_and_scales_are_within_the_published_bounds():
    codewords, scale = build(Encoding(32), image(1, 1, 1, 512)).get_weights()
    assert np.abs(codewords).max() <= (32 * 512) ** -0.5 < 1.1 * np.abs(codewords).max()
    assert -1 <= scale.min() < scale.max() <= 0


def test_parameters_are_the_published_count():
    assert parameters(build(Encoding(), image(1, 1, 1, 512))) == 16_416


def test_needs_a_codeword():
    with pytest.raises(ValueError, match="codes must be at least 1"):
        Encoding(0)
