import pytest
from support.layer_checks import build, check_free_sizes, image, parameters

from kattn.layers import ASPObjectContext


def test_behaves_as_a_layer_should(check_layer):
    check_layer(ASPObjectContext(2, dilations=(2,)), image(2, 4, 5, 2))


def test_behaves_with_three_dilations_and_its_map(check_layer):
    check_layer(ASPObjectContext(4, dilations=(2, 3, 4), return_attention=True), image(2, 5, 6, 4))


def test_takes_maps_of_unknown_size():
    check_free_sizes(ASPObjectContext(4, dilations=(2, 3), return_attention=True), image(2, 5, 6, 4))


@pytest.mark.parametrize(("options", "channels"), [({}, 8), ({"output_channels": 5}, 5)])
def test_output_channels_are_twice_the_filters_or_as_given(options, channels):
    layer = ASPObjectContext(4, dilations=(2,), **options)
    assert layer(image(1, 4, 5, 3)).shape == (1, 4, 5, channels) == layer.compute_output_shape((1, 4, 5, 3))


@pytest.mark.slow
def test_parameters_are_the_published_count():
    assert parameters(build(ASPObjectContext(), image(1, 4, 4, 512))) == 5_739_904


def test_parameters_follow_the_formula():
    c, o, kc = 6, 4, 2
    context = o * kc + 3 * kc + o * o + o + o * o + o + o * o + 3 * o
    first = 9 * c * o + 3 * o + c * o + 2 * o + 2 * (9 * c * o + 2 * o)
    count = context + first + 4 * o * 2 * o + 4 * o
    assert parameters(build(ASPObjectContext(o, dilations=(2, 3)), image(1, 4, 4, c))) == count


def test_bad_scales_are_named():
    with pytest.raises(ValueError, match="scales must be one or more"):
        ASPObjectContext(scales=(0,))
