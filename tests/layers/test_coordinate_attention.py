import numpy as np
import pytest
from support.layer_checks import build, check_free_sizes, image, parameters, randomise, run

from kattn.layers import CoordinateAttention


def test_behaves_as_a_layer_should(check_layer):
    check_layer(CoordinateAttention(reduction=2, return_attention=True), image(2, 6, 5, 16))


def test_takes_maps_of_unknown_size():
    check_free_sizes(CoordinateAttention(), image(2, 5, 7, 8))


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


@pytest.mark.parametrize("use_bias", [True, False])
def test_the_gates_are_the_equation(use_bias):
    """The rows' gates come from the means over the width, the columns' from those over the height."""
    x = image(2, 5, 3, 8)
    layer = build(CoordinateAttention(use_bias=use_bias, return_attention=True), x)
    randomise(layer)
    y, gate = run(layer, x)

    def conv(part, z):
        return z @ np.asarray(part.kernel)[0, 0] + (np.asarray(part.bias) if use_bias else 0)

    def hidden(z):
        norm = layer.norm
        scale = np.asarray(norm.gamma) / np.sqrt(np.asarray(norm.moving_variance) + 1e-5)
        z = (conv(layer.reduce, z) - np.asarray(norm.moving_mean)) * scale + np.asarray(norm.beta)
        return z * np.clip(z + 3, 0, 6) / 6

    rows, columns = (sigmoid(conv(part, hidden(x.mean(axis)))) for part, axis in ((layer.rows, 2), (layer.columns, 1)))
    want = rows[:, :, None] * columns[:, None]
    np.testing.assert_allclose(gate, want, atol=1e-5)
    np.testing.assert_allclose(y, x * want, atol=1e-5)


def test_training_normalises_by_rows_and_columns_together():
    x = image(2, 5, 3, 8)
    layer = build(CoordinateAttention(), x)
    run(layer, x, training=True)
    both = np.concatenate([x.mean(2), x.mean(1)], axis=1) @ np.asarray(layer.reduce.kernel)[0, 0]
    np.testing.assert_allclose(np.asarray(layer.norm.moving_mean), 0.1 * both.mean((0, 1)), atol=1e-6)


@pytest.mark.parametrize(
    ("channels", "options", "count"),
    [(256, {}, 6_680), (16, {}, 3 * 16 * 8 + 3 * 8 + 2 * 16), (48, {"reduction": 4}, 3 * 48 * 12 + 3 * 12 + 2 * 48)],
)
def test_parameters_are_those_of_the_authors_code(channels, options, count):
    """The hidden width never falls below 8."""
    assert parameters(build(CoordinateAttention(**options), image(1, 1, 1, channels))) == count


def test_one_position_gives_numbers():
    assert np.isfinite(run(CoordinateAttention(), image(2, 1, 1, 8))[0]).all()


@pytest.mark.parametrize(("options", "message"), [({"reduction": 0}, "reduction"), ({"min_hidden": 0}, "min_hidden")])
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        CoordinateAttention(**options)
