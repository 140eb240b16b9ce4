import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.layer_checks import PROPERTY, build, check_free_sizes, image, parameters, randomise, run

from kattn.layers import ObjectAttention

SIDE = st.integers(1, 8)


def ready(x, **options):
    layer = build(ObjectAttention(**options), x)
    randomise(layer)
    return layer


def tile_by_tile(layer, x):
    """Attention in one tile after the other."""
    starts = [[i * (side // layer.tiles) for i in range(layer.tiles)] + [side] for side in x.shape[1:3]]
    key, value = run(layer.key, x)[0], run(layer.value, x)[0]
    context = np.zeros_like(value)
    for top, bottom in zip(starts[0], starts[0][1:], strict=False):
        for left, right in zip(starts[1], starts[1][1:], strict=False):
            tile = (slice(None), slice(top, bottom), slice(left, right))
            if not value[tile].size:
                continue
            k, v = (part[tile].reshape(len(x), -1, part.shape[-1]) for part in (key, value))
            weights = np.exp(k @ k.transpose(0, 2, 1) / layer.key_width**0.5)
            weights /= weights.sum(axis=-1, keepdims=True)
            context[tile] = (weights @ v).reshape(value[tile].shape)
    return run(layer.out, context.astype("float32"))[0]


@pytest.mark.parametrize("options", [{"scale": 2}, pytest.param({"tiles": 2}, marks=pytest.mark.slow)])
def test_behaves_as_a_layer_should(check_layer, options):
    check_layer(ObjectAttention(3, 2, 3, return_attention=True, **options), image(2, 5, 4, 4))


@pytest.mark.parametrize("options", [{}, {"scale": 2}, {"tiles": 2}, {"tiles": 3}])
def test_takes_maps_of_unknown_size(options):
    check_free_sizes(ObjectAttention(return_attention=True, **options), image(2, 6, 5, 4))


@PROPERTY
@given(SIDE, SIDE, st.integers(1, 4), st.booleans())
def test_grouping_equal_tiles_is_attention_in_one_tile_after_the_other(height, width, tiles, return_attention):
    x = image(2, height, width, 4)
    layer = ready(x, tiles=tiles, return_attention=return_attention)
    y, *maps = run(layer, x)
    np.testing.assert_allclose(y, tile_by_tile(layer, x), atol=1e-4)
    promised = layer.compute_output_shape(x.shape)
    assert [m.shape for m in maps] == (list(promised[1:]) if return_attention else [])


@PROPERTY
@given(SIDE, SIDE, st.integers(0, 99))
def test_moves_with_the_positions(height, width, seed):
    x = image(2, height, width, 4)
    layer = ready(x)
    order = np.random.default_rng(seed).permutation(height * width)

    def shuffled(a):
        return a.reshape(2, -1, a.shape[-1])[:, order].reshape(a.shape)

    np.testing.assert_allclose(run(layer, shuffled(x))[0], shuffled(run(layer, x)[0]), atol=1e-4)


def test_maps_of_tiles_come_row_by_row():
    x = image(1, 5, 5, 4)
    x[:, 4:, :2] = 0  # the left part of the last, taller row of tiles
    maps = run(ready(x, tiles=2, return_attention=True), x)[1:]
    assert [m.shape[-1] for m in maps] == [4, 6, 6, 9]
    np.testing.assert_allclose(maps[2][0, 4:, 4:], maps[2][0, 4, 4], rtol=1e-5)


def test_starts_as_the_constant_zero():
    assert np.all(run(ObjectAttention(scale=2), image(2, 5, 4, 4))[0] == 0)


def test_parameters_follow_the_formula():
    c, kc, vc = 512, 256, 256
    count = c * kc + kc + 2 * kc + c * vc + vc + vc * c + c
    assert parameters(build(ObjectAttention(), image(1, 1, 1, c))) == count


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": 0}, "must be at least 1"),
        ({"scale": 2, "tiles": 2}, "not both above it"),
        ({"block": 0}, "block must be None or at least 1"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        ObjectAttention(**options)


def test_a_map_smaller_than_the_scale_is_refused():
    with pytest.raises(ValueError, match="at least scale=4 rows and columns"):
        ObjectAttention(scale=4).build((None, 8, 3, 4))
