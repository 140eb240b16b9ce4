import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.layer_checks import PROPERTY, build, check_free_sizes, image, parameters, randomise, run

from kattn.layers import PointwiseSpatialAttention

SIDE = st.integers(1, 7)


def ready(x, **options):
    layer = build(PointwiseSpatialAttention(**options), x)
    randomise(layer)
    return layer


def test_behaves_as_a_layer_should(check_layer):
    check_layer(PointwiseSpatialAttention(3, return_attention=True), image(2, 3, 5, 2))


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"mask_size": (3, 3)},
        {"mode": "collect", "softmax": False, "normalization": None, "shrink": 1},
        {"mode": "distribute", "compact": True, "shrink": 3},
    ],
)
def test_every_form_behaves(check_layer, options):
    check_layer(PointwiseSpatialAttention(3, **options), image(2, 4, 6, 2))


@pytest.mark.parametrize("shrink", [1, 2, 3])
def test_takes_maps_of_unknown_size_with_a_given_mask(shrink):
    check_free_sizes(PointwiseSpatialAttention(3, mask_size=(3, 9), shrink=shrink), image(2, 5, 7, 4))


@PROPERTY
@given(SIDE, SIDE, st.integers(1, 3), st.sampled_from(["both", "collect", "distribute"]), st.booleans())
def test_keeps_the_input_and_the_size_and_weights_sum_to_one(height, width, shrink, mode, compact):
    x = image(2, height, width, 3)
    layer = ready(x, channels=2, shrink=shrink, mode=mode, compact=compact, return_attention=True)
    y, *maps = run(layer, x)
    assert y.shape == (2, height, width, 6) and np.all(np.isfinite(y))
    np.testing.assert_array_equal(y[..., :3], x)
    assert len(maps) == (2 if mode == "both" else 1)
    for weights in maps:
        np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-5)


def test_distributing_is_collecting_with_the_transposed_weights():
    x = image(2, 5, 3, 4)
    options = {"channels": 3, "softmax": False, "return_attention": True}
    collect, distribute = ready(x, mode="collect", **options), ready(x, mode="distribute", **options)
    distribute.set_weights(collect.get_weights())
    np.testing.assert_allclose(run(distribute, x)[1], run(collect, x)[1].transpose(0, 2, 1), atol=1e-6)


def test_offsets_beyond_the_mask_have_a_logit_of_zero():
    x = image(1, 1, 5, 4)
    weights = run(ready(x, channels=3, mode="collect", shrink=1, mask_size=(1, 3), return_attention=True), x)[1]
    np.testing.assert_allclose(weights[0, 0, 2:], weights[0, 0, 2])
    assert weights[0, 0, 2] > 0


def test_the_normalization_divides():
    x = image(2, 5, 5, 4)
    layers = [ready(x, channels=3, mode="collect", normalization=n) for n in (None, 5.0 * 5.0, 1.0)]
    for layer in layers[1:]:
        layer.set_weights(layers[0].get_weights())
    counted, given_number, plain = (run(layer, x)[0] for layer in layers)
    np.testing.assert_allclose(counted, given_number, atol=1e-6)
    assert np.abs(counted - plain).max() > 1e-3


@pytest.mark.parametrize(
    ("mode", "compact", "count"),
    [("both", False, 8_291_328), ("collect", False, 4_147_712), ("both", True, 5_648_384)],
)
def test_parameters_are_the_published_count(mode, compact, count):
    layer = build(PointwiseSpatialAttention(mode=mode, compact=compact), np.zeros((1, 59, 59, 2048), "float32"))
    assert parameters(layer) == count


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "bi"}, "mode must be one of"),
        ({"shrink": 0}, "shrink must be an integer"),
        ({"mask_size": (4, 3)}, "mask_size must be odd"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        PointwiseSpatialAttention(**options)


@pytest.mark.parametrize(
    ("options", "shape", "message"),
    [
        ({}, (None, None, None, 4), "unknown: give mask_size or a fixed size"),
        ({"compact": True, "mask_size": (2, 3)}, (None, 5, 7, 4), "one entry a position of the shrunk input, 3x4"),
        ({}, (None, 4), "PointwiseSpatialAttention takes a"),
    ],
)
def test_inputs_without_a_mask_are_refused(options, shape, message):
    with pytest.raises(ValueError, match=message):
        PointwiseSpatialAttention(**options).build(shape)
