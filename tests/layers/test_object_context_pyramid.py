import pytest
from support.layer_checks import build, check_free_sizes, image, parameters, run

from kattn.layers import PyramidObjectContext


def test_behaves_as_a_layer_should(check_layer):
    check_layer(PyramidObjectContext(3, tiles=(1, 2)), image(2, 4, 5, 2))


def test_takes_maps_of_unknown_size():
    check_free_sizes(PyramidObjectContext(3, tiles=(1, 2, 3), return_attention=True), image(2, 4, 5, 4))


@pytest.mark.parametrize(("height", "width"), [(6, 6), (7, 4), (2, 5)])
def test_shapes_of_the_maps_are_told_beforehand(height, width):
    x = image(1, height, width, 4)
    layer = PyramidObjectContext(tiles=(1, 2, 3), return_attention=True)
    assert [y.shape for y in run(layer, x)] == list(layer.compute_output_shape(x.shape))


@pytest.mark.slow
def test_parameters_are_the_published_count():
    assert parameters(build(PyramidObjectContext(), image(1, 6, 6, 512))) == 5_782_016


def test_parameters_follow_the_formula():
    c, kc, stages = 8, 4, 3
    stage = c * kc + 3 * kc + c * c + c + c * c + c
    count = stages * stage + c * stages * c + 3 * stages * c + 2 * c * stages * c + 3 * c
    assert parameters(build(PyramidObjectContext(tiles=(1, 2, 4)), image(1, 4, 4, c))) == count


@pytest.mark.parametrize("tiles", [(), (0,)])
def test_bad_tiles_are_named(tiles):
    with pytest.raises(ValueError, match="tiles must be one or more"):
        PyramidObjectContext(tiles=tiles)
