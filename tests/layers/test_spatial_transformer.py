import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.layer_checks import PROPERTY, build, check_free_sizes, image, parameters, run

from kattn.layers import SpatialTransformer, SpatialTransformerSampler
from kattn.layers.spatial_transformer import IDENTITY

SIZES = st.integers(1, 8)
GATHERS = ("GATHER", "Gather", "Cast", "Shape")  # the sampler reads at positions that it computes itself


def thetas(*rows):
    return np.array(rows, "float32").reshape(-1, 6)


def near_identity(count):
    return np.float32(IDENTITY) + 0.3 * image(count, 6)


def test_the_sampler_behaves_as_a_layer_should(check_layer):
    check_layer(SpatialTransformerSampler((4, 7)), image(2, 6, 5, 3), near_identity(2), allow=GATHERS)


@pytest.mark.representative
def test_the_layer_behaves_as_a_layer_should(check_layer):
    check_layer(
        SpatialTransformer(8, size=4, align_corners=True, return_attention=True), image(2, 6, 5, 3), allow=GATHERS
    )


def test_the_layer_starts_as_the_identity():
    x = image(2, 6, 5, 3)
    np.testing.assert_allclose(run(SpatialTransformer(), x)[0], x, atol=1e-5)


def test_parameters_are_the_formula():
    inputs, hidden = 28 * 28 * 1, 32
    assert parameters(build(SpatialTransformer(hidden), image(1, 28, 28, 1))) == inputs * hidden + hidden * 7 + 6


@PROPERTY
@given(SIZES, SIZES, st.booleans(), st.integers(-9, 9), st.integers(-9, 9))
def test_whole_pixel_shifts_move_the_map_and_fill_with_zeros(height, width, align_corners, down, right):
    """In both conventions; the identity among them, and shifts beyond the map, which leave nothing."""
    x = image(1, height, width, 2)
    spans = [max(side - 1, 1) if align_corners else side for side in (height, width)]
    shift = thetas([1, 0, 2 * right / spans[1], 0, 1, 2 * down / spans[0]])
    if align_corners and (height == 1 or width == 1):  # a side of one pixel has no step to shift by
        shift, down, right = thetas(IDENTITY), 0, 0
    want = np.zeros_like(x)
    for row in range(height):
        for column in range(width):
            if 0 <= row + down < height and 0 <= column + right < width:
                want[0, row, column] = x[0, row + down, column + right]
    got = run(SpatialTransformerSampler(align_corners=align_corners), x, shift)[0]
    np.testing.assert_allclose(got, want, atol=2e-5)


@PROPERTY
@given(SIZES, SIZES, st.booleans(), st.booleans())
def test_a_mirror_is_a_flip(height, width, align_corners, across):
    """x comes first: the first row of theta is about the width."""
    x = image(1, height, width, 2)
    theta = thetas([-1, 0, 0, 0, 1, 0] if across else [1, 0, 0, 0, -1, 0])
    got = run(SpatialTransformerSampler(align_corners=align_corners), x, theta)[0]
    np.testing.assert_allclose(got, x[:, :, ::-1] if across else x[:, ::-1], atol=2e-5)


def test_each_neighbour_outside_counts_as_zero_by_itself():
    """Half a pixel over the border half of the border's value remains."""
    ones = np.ones((1, 4, 4, 1), "float32")
    got = run(SpatialTransformerSampler(), ones, thetas([1, 0, 0.25, 0, 1, 0]))[0]
    np.testing.assert_allclose(got[0, 0, :, 0], [1, 1, 1, 0.5], atol=1e-6)


def test_the_conventions_differ_in_what_the_ends_mean():
    """A row of four pixels shown as two: the corners themselves, or the middles of the halves."""
    row = np.arange(4, dtype="float32").reshape(1, 1, 4, 1)
    for align_corners, want in ((True, [0, 3]), (False, [0.5, 2.5])):
        got = run(SpatialTransformerSampler((1, 2), align_corners), row, thetas(IDENTITY))[0]
        np.testing.assert_allclose(got[0, 0, :, 0], want, atol=1e-6)


@pytest.mark.parametrize("align_corners", [False, True])
def test_the_sampler_takes_maps_of_unknown_size(align_corners):
    check_free_sizes(SpatialTransformerSampler(align_corners=align_corners), image(2, 5, 7, 3), near_identity(2))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SpatialTransformerSampler(size=0), "one or two positive"),
        (lambda: SpatialTransformer(size=(1, 2, 3)), "one or two positive"),
        (lambda: SpatialTransformer(hidden=0), "hidden must be"),
        (lambda: SpatialTransformer()(keras.Input((None, None, 3))), "known height and width"),
        (lambda: SpatialTransformerSampler()([keras.Input((4, 4, 3)), keras.Input((5,))]), "theta of shape"),
        (lambda: SpatialTransformerSampler()(keras.Input((4, 4, 3))), "takes a list"),
    ],
)
def test_bad_options_and_inputs_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
