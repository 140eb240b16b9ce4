import numpy as np
import pytest
from support.layer_checks import build, check_free_sizes, image, parameters, run

from kattn.layers import FrequencyChannelAttention
from kattn.layers.frequency_channel_attention import COUNTS, FREQUENCIES
from kattn.layers.pieces.adaptive_pooling import averaging


def test_behaves_as_a_layer_should(check_layer):
    check_layer(FrequencyChannelAttention(2, "top4", return_attention=True), image(2, 6, 5, 8))


@pytest.mark.parametrize("size", [3, (7, 9)])
def test_takes_maps_of_unknown_size_where_it_is_told_one(size):
    check_free_sizes(FrequencyChannelAttention(2, "top4", size), image(2, 5, 7, 8))
    with pytest.raises(ValueError, match="known height and width, or give size="):
        FrequencyChannelAttention().build((None, None, 7, 16))


def pooled(x, size):
    """torch's adaptive average pooling, bin by bin."""
    bins = [
        [(i * side // new, -(-(i + 1) * side // new)) for i in range(new)]
        for side, new in zip(x.shape[1:3], size, strict=True)
    ]
    return np.stack([np.stack([x[:, a:b, c:d].mean((1, 2)) for c, d in bins[1]], axis=1) for a, b in bins[0]], axis=1)


@pytest.mark.parametrize(
    ("frequencies", "size", "shape"),
    [
        ("top16", None, (14, 7)),
        ("low8", None, (7, 14)),
        ("bot16", (7, 7), (10, 9)),
        ("top32", (8, 8), (16, 6)),
        ("top1", None, (5, 7)),
        ("top16", None, (1, 1)),
    ],
)
def test_the_gate_is_the_equation(frequencies, size, shape):
    x = image(2, *shape, 32)
    layer = build(FrequencyChannelAttention(8, frequencies, size, return_attention=True), x)
    y, gate = run(layer, x)
    height, width = size or shape
    map_ = pooled(x, (height, width))
    count = int(frequencies[3:])
    z = np.zeros((2, 32))
    for c in range(32):
        part = c // (32 // count)
        u, v = (int(numbers[part]) for numbers in FREQUENCIES[frequencies[:3]])
        for h in range(height):
            for w in range(width):
                b = np.prod(
                    [
                        np.cos(np.pi * f * (i + 0.5) / side) / side**0.5 * (1 if f == 0 else 2**0.5)
                        for f, i, side in ((u * (height // 7), h, height), (v * (width // 7), w, width))
                    ]
                )
                z[:, c] += map_[:, h, w, c] * b
    first, second = (np.asarray(weight)[0, 0] for weight in layer.weights)
    np.testing.assert_allclose(gate[:, 0, 0], 1 / (1 + np.exp(-np.maximum(z @ first, 0) @ second)), atol=1e-5)
    np.testing.assert_allclose(y, x * gate, atol=1e-5)


@pytest.mark.parametrize(("old", "new"), [(10, 7), (5, 7), (16, 8), (9, 9)])
def test_averaging_has_torchs_bins(old, new):
    x = image(1, old, 1, 3)
    np.testing.assert_allclose(averaging(old, new) @ x[0, :, 0], pooled(x, (new, 1))[0, :, 0], atol=1e-6)


def test_every_list_has_32_frequencies_on_the_7x7_grid():
    for lists in FREQUENCIES.values():
        assert [len(numbers) for numbers in lists] == [max(COUNTS)] * 2
        assert {int(number) for numbers in lists for number in numbers} <= set(range(7))


def test_parameters_are_those_of_squeeze_and_excitation_without_biases():
    assert parameters(build(FrequencyChannelAttention(), image(1, 7, 7, 256))) == 8192


def test_channels_that_the_parts_do_not_divide_are_cut_as_evenly_as_they_can_be():
    layer = build(FrequencyChannelAttention(frequencies="low2"), image(1, 7, 7, 5))
    columns = layer.cosines(1, 7, 5)
    assert [int(np.ptp(columns[:, c]) > 0) for c in range(5)] == [0, 0, 0, 1, 1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frequencies": "top3"}, "frequencies must be one of"),
        ({"frequencies": "best16"}, "frequencies must be one of"),
        ({"size": (7, 0)}, "size must be"),
        ({"reduction": 0}, "reduction"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        FrequencyChannelAttention(**options)
