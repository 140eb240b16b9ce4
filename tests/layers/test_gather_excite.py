import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.layer_checks import PROPERTY, build, check_free_sizes, image, parameters, randomise, run

from kattn.layers import GatherExcite
from kattn.layers.gather_excite import VARIANTS


def ready(x, *args, **options):
    layer = build(GatherExcite(*args, **options), x)
    randomise(layer)
    return layer


@pytest.mark.parametrize(("variant", "extent"), [("theta_minus", 4), ("theta_plus", 4), ("theta", 0)])
def test_behaves_as_a_layer_should(check_layer, variant, extent):
    check_layer(GatherExcite(variant, extent, reduction=4, return_attention=True), image(2, 7, 6, 8))


@pytest.mark.parametrize(("variant", "extent"), [("theta_minus", 0), ("theta_minus", 2), ("theta_plus", 2)])
def test_takes_maps_of_unknown_size(variant, extent):
    check_free_sizes(GatherExcite(variant, extent), image(2, 5, 7, 4))


@pytest.mark.parametrize(
    ("variant", "extent", "count"),
    [
        ("theta_minus", 0, 0),
        ("theta_minus", 8, 0),
        ("theta", 0, 803_328),
        ("theta", 8, 8_448),
        ("theta_plus", 8, 8_448 + 2 * 256 * 16 + 16 + 256),
    ],
)
def test_parameters_are_the_published_count(variant, extent, count):
    assert parameters(build(GatherExcite(variant, extent), image(1, 56, 56, 256))) == count


def test_every_window_averages_what_lies_inside():
    """Against the definition, window by window, at sizes that the extent does not divide."""
    x, extent = image(1, 7, 9, 3), 3
    gate = run(GatherExcite("theta_minus", extent, return_attention=True), x)[1]
    for row in range(7):
        for column in range(9):
            # Nearest neighbour from 3 x 3: output i takes floor(i * 3 / size), whose window is centred on 3 times that.
            top, left = 3 * (row * 3 // 7), 3 * (column * 3 // 9)
            window = x[0, max(0, top - 2) : top + 3, max(0, left - 2) : left + 3]
            np.testing.assert_allclose(gate[0, row, column], 1 / (1 + np.exp(-window.mean((0, 1)))), atol=1e-5)


@PROPERTY
@given(
    st.sampled_from(VARIANTS), st.sampled_from([0, 2, 4, 8]), st.integers(1, 9), st.integers(1, 9), st.integers(1, 6)
)
def test_the_output_is_the_input_gated(variant, extent, height, width, channels):
    """At all sizes, below the extent too: a gate in (0, 1), one for all positions where the extent is global."""
    x = image(2, height, width, channels)
    y, gate = run(ready(x, variant, extent, return_attention=True), x)
    assert gate.shape == (x.shape if extent else (2, 1, 1, channels))
    assert gate.min() > 0 and gate.max() < 1
    np.testing.assert_allclose(y, x * gate, atol=1e-5)


@PROPERTY
@given(st.integers(1, 8), st.integers(1, 8))
def test_an_extent_beyond_the_map_is_the_global_average(height, width):
    x = image(2, height, width, 3)
    near, far = (run(GatherExcite("theta_minus", extent), x)[0] for extent in (8, 0))
    np.testing.assert_allclose(near, far, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "theta-plus"}, "theta_plus"),
        ({"extent": 3}, "power of two"),
        ({"extent": 1}, "power of two"),
        ({"variant": "theta_minus", "extent": -1}, "extent must be"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        GatherExcite(**options)


def test_a_learned_global_gather_needs_a_known_size():
    with pytest.raises(ValueError, match="known height and width"):
        GatherExcite().build((None, None, 7, 4))
