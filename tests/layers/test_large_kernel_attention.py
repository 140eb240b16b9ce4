import numpy as np
import pytest
from support.layer_checks import build, check_free_sizes, image, parameters, randomise, run

from kattn.layers import LargeKernelAttention


@pytest.mark.parametrize("project", [False, True])
def test_behaves_as_a_layer_should(check_layer, project):
    # The gate is not bounded: half precision loses what a sum of 49 products loses, times x.
    check_layer(LargeKernelAttention(project, return_attention=True), image(2, 6, 5, 8), huge=1e4)


def test_takes_maps_of_unknown_size():
    check_free_sizes(LargeKernelAttention(project=True), image(2, 5, 7, 4))


@pytest.mark.parametrize(("project", "count"), [(False, 85_248), (True, 216_832)])
def test_parameters_are_the_references(project, count):
    assert parameters(build(LargeKernelAttention(project), image(1, 4, 4, 256))) == count


@pytest.mark.parametrize("size", [(5, 7), (24, 23)])
def test_a_change_reaches_eleven_positions_on_either_side(size):
    """The 5x5 kernel reaches 2 positions, the dilated 7x7 one 9."""
    x = np.abs(image(1, *size, 2)) + 1
    layer = build(LargeKernelAttention(return_attention=True), x)
    randomise(layer)
    before = run(layer, x)[1]
    x[0, 0, 0] += 1
    rows, columns = np.nonzero(np.abs(run(layer, x)[1] - before)[0].max(-1) > 1e-6)
    assert (rows.max(), columns.max()) == (min(11, size[0] - 1), min(11, size[1] - 1))


def test_the_output_is_the_input_times_the_gate_and_grows_with_its_square():
    x = image(2, 6, 5, 4)
    layer = build(LargeKernelAttention(return_attention=True), x)  # biases start at 0
    y, gate = run(layer, x)
    np.testing.assert_allclose(y, x * gate, atol=1e-5)
    np.testing.assert_allclose(run(layer, 3 * x)[0], 9 * y, rtol=1e-3, atol=1e-4)


def test_it_starts_by_the_fan_out_of_one_group():
    layer = build(LargeKernelAttention(), image(1, 4, 4, 64))
    for conv, fan_out in ((layer.near, 25), (layer.far, 49), (layer.mix, 64)):
        assert np.std(np.asarray(conv.kernel)) == pytest.approx((2 / fan_out) ** 0.5, rel=0.1)
