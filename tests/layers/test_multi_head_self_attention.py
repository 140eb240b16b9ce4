import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.layer_checks import PROPERTY, build, image, parameters, randomise, run

from kattn.layers import MultiHeadSelfAttention2D


@pytest.mark.parametrize("options", [{"return_attention": True}, {"filters": 12, "strides": 2, "use_bias": True}])
def test_behaves_as_a_layer_should(check_layer, options):
    check_layer(MultiHeadSelfAttention2D(**options), image(2, 6, 5, 8))


@pytest.mark.parametrize(("side", "channels", "count"), [(14, 512, 793_344), (7, 512, 789_760), (14, 256, 200_064)])
def test_parameters_are_the_references(side, channels, count):
    assert parameters(build(MultiHeadSelfAttention2D(), image(1, side, side, channels))) == count


@PROPERTY
@given(st.integers(1, 4), st.integers(1, 4), st.sampled_from([1, 2]), st.booleans())
def test_it_is_the_equation_pair_by_pair(height, width, heads, scale_position):
    x = image(2, height, width, 4)
    options = {"heads": heads, "scale_position": scale_position, "key_dim": 3, "return_attention": True}
    layer = build(MultiHeadSelfAttention2D(6, **options), x)
    randomise(layer)
    y, attention = run(layer, x)
    np.testing.assert_allclose(attention.sum(-1), 1, atol=1e-5)
    rows = x.reshape(2, -1, 4)
    q, k, v = (rows @ np.asarray(conv.kernel)[0, 0] for conv in (layer.query, layer.key, layer.value))
    tables = np.asarray(layer.height_table), np.asarray(layer.width_table)
    places = [(i, j) for i in range(height) for j in range(width)]
    share = 6 // heads
    for head in range(heads):
        ours = slice(3 * head, 3 * head + 3)
        logits = np.einsum("bic,bjc->bij", q[..., ours], k[..., ours]) * 3**-0.5
        for i, (row, column) in enumerate(places):
            for j, (other, beside) in enumerate(places):
                relative = tables[0][other - row + height - 1] + tables[1][beside - column + width - 1]
                logits[:, i, j] += q[:, i, ours] @ relative * (3**-0.5 if scale_position else 1)
        e = np.exp(logits - logits.max(-1, keepdims=True))
        weights = e / e.sum(-1, keepdims=True)
        np.testing.assert_allclose(attention[:, head], weights, atol=1e-5)
        values = v[..., share * head : share * (head + 1)]
        got = y.reshape(2, -1, 6)[..., share * head : share * (head + 1)]
        np.testing.assert_allclose(got, weights @ values, atol=1e-4)


@pytest.mark.parametrize(("padding", "size"), [("same", (4, 3)), ("valid", (3, 2))])
def test_pooling_follows_the_attention(padding, size):
    x = image(1, 7, 5, 4)
    layer = build(MultiHeadSelfAttention2D(strides=2, pool_padding=padding), x)
    full = build(MultiHeadSelfAttention2D(), x)
    full.set_weights(layer.get_weights())
    (y,), (whole,) = run(layer, x), run(full, x)
    assert y.shape == (1, *size, 4)
    np.testing.assert_allclose(y[0, 0, 0], whole[0, :2, :2].mean((0, 1)), atol=1e-5)
    if padding == "same":  # at the border the mean of what is there
        np.testing.assert_allclose(y[0, -1, -1], whole[0, -1, -1], atol=1e-5)


@pytest.mark.parametrize("options", [{"filters": 0}, {"heads": 0}, {"pool_padding": "end"}])
def test_bad_options_are_named(options):
    with pytest.raises(ValueError, match=f"{next(iter(options))}"):
        MultiHeadSelfAttention2D(**options)


def test_a_map_of_unknown_size_or_heads_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="known height and width"):
        MultiHeadSelfAttention2D().build((None, None, 4, 8))
    with pytest.raises(ValueError, match="heads=3 does not divide the 8 filters"):
        MultiHeadSelfAttention2D(heads=3).build((None, 4, 4, 8))
