import numpy as np
import pytest
from support.models import randomise

from kattn.layers import GlobalContext


def image(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


@pytest.mark.parametrize(
    "options", [{}, {"fusion": "both", "context": "avg"}, {"fusion": "scale", "return_attention": True}]
)
def test_behaves_as_a_layer_should(check_layer, options):
    check_layer(GlobalContext(reduction=2, **options), image(2, 6, 5, 8))


def test_adding_starts_as_the_identity_and_scaling_at_one_half():
    x = image(2, 6, 5, 8)
    np.testing.assert_array_equal(np.asarray(GlobalContext()(x)), x)
    np.testing.assert_allclose(np.asarray(GlobalContext(fusion="scale")(x)), 0.5 * x, rtol=1e-6)


def test_weights_are_a_softmax_over_all_positions():
    x = image(2, 6, 5, 8)
    layer = GlobalContext(return_attention=True)
    layer.build(x.shape)
    randomise(layer)
    weights = np.asarray(layer(x)[1])
    logits = (x @ np.asarray(layer.mask.kernel)[0, 0])[..., 0]
    e = np.exp(logits - logits.max((1, 2), keepdims=True))
    np.testing.assert_allclose(weights[..., 0], e / e.sum((1, 2), keepdims=True), rtol=1e-4)


def test_output_does_not_depend_on_the_order_of_positions_but_for_itself():
    x = image(1, 4, 4, 8)
    layer = GlobalContext(reduction=2)
    layer.build(x.shape)
    randomise(layer)
    order = np.random.default_rng(0).permutation(16)
    shuffled = x.reshape(1, 16, 8)[:, order].reshape(x.shape)
    y = np.asarray(layer(x)).reshape(1, 16, 8)[:, order]
    np.testing.assert_allclose(np.asarray(layer(shuffled)).reshape(1, 16, 8), y, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "count"), [({}, 133313), ({"context": "avg"}, 132288), ({"fusion": "both"}, 265601)]
)
def test_parameters_are_the_published_count(options, count):
    layer = GlobalContext(**options)
    layer.build((None, 14, 14, 1024))
    assert layer.count_params() == count


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"context": "max"}, "context must be"),
        ({"fusion": "mul"}, "fusion must be one of"),
        ({"context": "avg", "return_attention": True}, "needs context"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        GlobalContext(**options)
