import numpy as np
import pytest
from support.layer_checks import build, check_free_sizes, image, parameters, randomise, run

from kattn.layers import StripPooling


def test_behaves_as_a_layer_should(check_layer):
    check_layer(StripPooling(return_attention=True), image(2, 6, 5, 8))


def test_takes_maps_of_unknown_size():
    check_free_sizes(StripPooling(return_attention=True), image(2, 5, 7, 4))


@pytest.mark.parametrize(("channels", "count"), [(64, 28_992), (128, 115_328), (256, 460_032)])
def test_parameters_are_the_references(channels, count):
    assert parameters(build(StripPooling(), image(1, 2, 2, channels))) == count


@pytest.mark.parametrize("size", [(1, 1), (1, 6), (5, 7)])
def test_a_change_is_heard_in_its_row_and_its_column_and_the_lines_beside_them(size):
    x = image(1, *size, 3)
    layer = build(StripPooling(return_attention=True), x)
    randomise(layer, scale=1.0)
    y, gate = run(layer, x)
    assert gate.min() > 0 and gate.max() < 1
    np.testing.assert_allclose(y, x * gate, atol=1e-5)
    x[0, 0, 0] += 100
    changed = np.abs(run(layer, x)[1] - gate)[0].max(-1) > 0
    expected = np.zeros(size, bool)
    expected[:2] = expected[:, :2] = True
    assert not (changed & ~expected).any() and changed[0, 0]


def test_rows_are_mixed_along_the_height():
    """The kernel of the rows lies upright: a pattern that changes from row to row only reaches it."""
    layer = build(StripPooling(), image(1, 4, 4, 2))
    assert [tuple(conv.kernel.shape[:2]) for conv in layer.convs] == [(3, 1), (1, 3)]


@pytest.mark.parametrize("size", [0, 2])
def test_an_even_kernel_is_refused(size):
    with pytest.raises(ValueError, match="odd"):
        StripPooling(kernel_size=size)
