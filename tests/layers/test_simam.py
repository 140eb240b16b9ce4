import numpy as np
import pytest
from support.layer_checks import build, check_free_sizes, image, parameters, run

from kattn.layers import SimAM


def test_behaves_as_a_layer_should(check_layer):
    check_layer(SimAM(return_attention=True), image(2, 6, 5, 8))


def test_takes_maps_of_unknown_size():
    check_free_sizes(SimAM(), image(2, 5, 7, 8))


@pytest.mark.parametrize("e_lambda", [1e-4, 0.1])
def test_the_gate_is_the_equation(e_lambda):
    x = image(2, 3, 4, 5)
    y, gate = run(SimAM(e_lambda, return_attention=True), x)
    squares = (x - x.mean((1, 2), keepdims=True)) ** 2
    spread = squares.sum((1, 2), keepdims=True) / 11
    np.testing.assert_allclose(gate, 1 / (1 + np.exp(-squares / (4 * (spread + e_lambda)) - 0.5)), atol=1e-6)
    np.testing.assert_allclose(y, x * gate, atol=1e-6)


def test_it_has_no_parameters():
    assert parameters(build(SimAM(), image(1, 2, 2, 8))) == 0


def test_one_position_has_the_smallest_gate():
    x = image(2, 1, 1, 4)
    np.testing.assert_allclose(run(SimAM(), x)[0], x / (1 + np.exp(-0.5)), atol=1e-6)


def test_large_maps_keep_their_numbers_in_half_precision():
    """The sum of the squares of this map is above 65,504."""
    x = 10 * image(1, 32, 32, 2)
    want = run(SimAM(), x)[0]
    np.testing.assert_allclose(run(SimAM(dtype="mixed_float16"), x)[0], want, atol=0.05)


def test_a_lambda_of_zero_is_refused():
    with pytest.raises(ValueError, match="e_lambda must be above 0"):
        SimAM(0)
