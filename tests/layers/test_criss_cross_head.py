import pytest
from support.layer_checks import build, check_free_sizes, image, parameters

from kattn.layers import CrissCrossHead


def test_behaves_as_a_layer_should(check_layer):
    check_layer(CrissCrossHead(3, channels=2, recurrence=1, return_attention=True), image(2, 3, 4, 4))


def test_takes_maps_of_unknown_size():
    check_free_sizes(CrissCrossHead(3), image(2, 5, 4, 8))


@pytest.mark.parametrize(
    ("options", "channels"),
    [
        ({}, 2),
        ({"channels": 3}, 3),
        ({"channels": 3, "fused_channels": 5}, 5),
        ({"classes": 7, "fused_channels": 5}, 7),
    ],
)
def test_output_channels_are_the_classes_or_the_fused_width(options, channels):
    head = CrissCrossHead(**options)
    assert head(image(1, 3, 4, 8)).shape == (1, 3, 4, channels) == head.compute_output_shape((1, 3, 4, 8))


@pytest.mark.slow
def test_parameters_are_the_published_count():
    assert parameters(build(CrissCrossHead(19), image(1, 1, 1, 2048))) == 23_934_100


def test_parameters_follow_the_formula():
    attention = 2 * (4 + 1) + 4 * 5 + 1
    count = 9 * 16 * 4 + 8 + attention + 9 * 4 * 4 + 8 + 9 * 20 * 6 + 12 + 3 * 7
    assert parameters(build(CrissCrossHead(3, fused_channels=6), image(1, 2, 2, 16))) == count


def test_needs_a_recurrence():
    with pytest.raises(ValueError, match="recurrence must be at least 1"):
        CrissCrossHead(recurrence=0)
