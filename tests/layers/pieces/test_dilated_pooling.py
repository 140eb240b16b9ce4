"""Pooling with gaps: against the definition, beside Keras's own at dilation 1, borders, configuration."""

import keras
import numpy as np
import pytest
from keras import ops

from kattn.layers import DilatedPooling2D


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def pooled(x, size, dilation, mode, padding):
    """The definition: over the window's positions that lie on the map."""
    (top, bottom), (left, right) = padding
    kind = np.nan
    x = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=kind)
    reach = (size - 1) * dilation
    height, width = x.shape[1] - reach, x.shape[2] - reach
    shifts = [(i * dilation, j * dilation) for i in range(size) for j in range(size)]
    windows = np.stack([x[:, i : i + height, j : j + width] for i, j in shifts])
    return (np.nanmax if mode == "max" else np.nanmean)(windows, axis=0)


@pytest.mark.parametrize("mode", ["max", "average"])
@pytest.mark.parametrize(
    ("size", "dilation", "padding"),
    [(3, 2, ((2, 2), (2, 2))), (2, 3, ((0, 3), (0, 3))), (3, 2, ((0, 4), (1, 3))), (2, 2, ((0, 0), (0, 0)))],
)
def test_is_the_maximum_or_mean_of_the_window_on_the_map(mode, size, dilation, padding):
    x = noise(2, 7, 6, 3) - 5  # all below zero: a border of zeros would win
    y = ops.convert_to_numpy(DilatedPooling2D(size, dilation, mode, padding)(x))
    np.testing.assert_allclose(y, pooled(x, size, dilation, mode, padding), rtol=1e-5)


@pytest.mark.parametrize("mode", ["max", "average"])
def test_without_gaps_it_is_the_pooling_of_keras(mode):
    kind = {"max": keras.layers.MaxPooling2D, "average": keras.layers.AveragePooling2D}[mode]
    x = noise(2, 6, 5, 3) - 5
    same = DilatedPooling2D(3, mode=mode, padding=((1, 1), (1, 1)))(x)
    np.testing.assert_allclose(ops.convert_to_numpy(same), ops.convert_to_numpy(kind(3, 1, "same")(x)), rtol=1e-5)
    valid = DilatedPooling2D(2, mode=mode)(x)
    np.testing.assert_allclose(ops.convert_to_numpy(valid), ops.convert_to_numpy(kind(2, 1)(x)), rtol=1e-5)


@pytest.mark.parametrize("shape", [(7, 6, 3), (None, None, 3)])
def test_the_size_said_is_the_size_given(shape):
    x = keras.Input(shape)
    y = DilatedPooling2D(3, 2, padding=((2, 2), (0, 1)))(x)
    assert tuple(y.shape) == (None, *((7, 3) if shape[0] else (None, None)), 3)
    assert keras.Model(x, y)(noise(2, 7, 6, 3)).shape == (2, 7, 3, 3)


def test_is_rebuilt_from_its_config():
    layer = DilatedPooling2D(2, 3, "average", ((0, 3), (1, 2)))
    again = DilatedPooling2D.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0,), "pool_size and dilation must be at least 1"),
        ((2, 0), "pool_size and dilation must be at least 1"),
        ((2, 1, "sum"), "mode must be one of max, average"),
        ((2, 1, "max", ((0, 2), (0, 0))), r"padding must be within 0 \.\. \(pool_size - 1\) \* dilation = 1"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        DilatedPooling2D(*arguments)
