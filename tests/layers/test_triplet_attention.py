import numpy as np
import pytest
from scipy.signal import correlate2d
from support.layer_checks import build, check_free_sizes, image, parameters, randomise, run

from kattn.layers import TripletAttention


@pytest.mark.representative
def test_behaves_as_a_layer_should(check_layer):
    check_layer(TripletAttention(kernel_size=3, return_attention=True), image(2, 6, 5, 8))


def test_takes_maps_of_unknown_size():
    check_free_sizes(TripletAttention(), image(2, 5, 7, 8))


def gate_of(layer, name, pooled):
    """A gate of one image from the maximum and the mean over one side."""
    kernel, norm = np.asarray(layer.convs[name].kernel)[..., 0], layer.norms[name]
    logits = sum(correlate2d(one, kernel[..., i], mode="same") for i, one in enumerate(pooled))
    scale = np.asarray(norm.gamma) / np.sqrt(np.asarray(norm.moving_variance) + 1e-5)
    return 1 / (1 + np.exp(-((logits - np.asarray(norm.moving_mean)) * scale + np.asarray(norm.beta))))


@pytest.mark.parametrize("spatial", [True, False])
def test_it_is_the_mean_of_the_gated_maps(spatial):
    x = image(1, 6, 4, 5)
    layer = build(TripletAttention(3, spatial, return_attention=True), x)
    randomise(layer)
    y, gate = run(layer, x)
    gates = [
        np.expand_dims(gate_of(layer, name, (x[0].max(axis), x[0].mean(axis))), axis)
        for axis, name in enumerate(layer.convs)
    ]
    assert len(gates) == (3 if spatial else 2)
    np.testing.assert_allclose(gate[0], sum(gates) / len(gates), atol=1e-5)
    np.testing.assert_allclose(y, x * gate, atol=1e-5)


@pytest.mark.parametrize(("options", "count"), [({}, 300), ({"kernel_size": 3}, 60), ({"spatial": False}, 200)])
def test_parameters_do_not_depend_on_the_channels(options, count):
    assert {parameters(build(TripletAttention(**options), image(1, 1, 1, c))) for c in (4, 64)} == {count}


def test_the_gate_over_positions_starts_at_one_half():
    x = image(1, 6, 4, 5)
    layer = build(TripletAttention(3), x)
    assert (gate_of(layer, "hw", (x[0].max(2), x[0].mean(2))) == 0.5).all()
    assert np.ptp(gate_of(layer, "cw", (x[0].max(0), x[0].mean(0)))) > 0


@pytest.mark.parametrize("kernel_size", [4, -1])
def test_an_even_kernel_is_refused(kernel_size):
    with pytest.raises(ValueError, match="kernel_size must be a positive odd number"):
        TripletAttention(kernel_size)
