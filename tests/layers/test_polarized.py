import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.layer_checks import PROPERTY, build, check_free_sizes, image, parameters, randomise, run

from kattn.layers import PolarizedSelfAttention

FORMS = [{}, {"sequential": True}, {"paper": True}]


@pytest.mark.parametrize("options", FORMS)
def test_behaves_as_a_layer_should(check_layer, options):
    check_layer(PolarizedSelfAttention(return_attention=True, **options), image(2, 6, 5, 16))


@pytest.mark.parametrize("options", FORMS)
def test_takes_maps_of_unknown_size(options):
    check_free_sizes(PolarizedSelfAttention(**options), image(2, 5, 7, 8))


@pytest.mark.parametrize(("sequential", "count"), [(False, 131_328), (True, 111_200)])
def test_parameters_are_the_references(sequential, count):
    assert parameters(build(PolarizedSelfAttention(sequential), image(1, 2, 2, 256))) == count


def softmax(z, axis):
    e = np.exp(z - z.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


@PROPERTY
@given(st.integers(1, 5), st.integers(1, 5), st.booleans())
def test_the_papers_form_is_its_equation_written_out(height, width, sequential):
    x = image(2, height, width, 8)
    layer = build(PolarizedSelfAttention(sequential, paper=True, return_attention=True), x)
    randomise(layer)
    y, spatial = run(layer, x)

    def matrix(name):
        return np.asarray(getattr(layer, name).kernel)[0, 0]

    rows = x.reshape(2, -1, 8)
    weights = softmax(rows @ matrix("channel_query"), 1)
    raised = (weights * (rows @ matrix("channel_value"))).sum(1) @ matrix("expand") + np.asarray(layer.expand.bias)
    centred = raised - raised.mean(-1, keepdims=True)
    normal = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    channels = sigmoid(normal * np.asarray(layer.gamma) + np.asarray(layer.beta))[:, None]
    base = rows * channels if sequential else rows
    query = softmax((base @ matrix("spatial_query")).mean(1), -1)
    gate = sigmoid((base @ matrix("spatial_value") * query[:, None]).sum(-1, keepdims=True))
    expected = base * gate if sequential else rows * channels + rows * gate
    np.testing.assert_allclose(y, expected.reshape(y.shape), atol=1e-4)
    np.testing.assert_allclose(spatial.reshape(gate.shape), gate, atol=1e-5)


def test_in_parallel_the_spatial_gate_lies_between_a_half_and_the_sigmoid_of_one():
    layer = PolarizedSelfAttention(return_attention=True)
    gate = run(layer, image(2, 6, 6, 8))[1]
    assert gate.min() >= 0.5 and gate.max() < sigmoid(1)
