import warnings

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.layer_checks import PROPERTY, build, check_free_sizes, error, image, parameters, randomise, run

from kattn.layers import NonLocal
from kattn.layers.non_local import MODES


def ready(x, **options):
    layer = build(NonLocal(**options), x)
    randomise(layer)
    return layer


@pytest.mark.parametrize(
    "mode",
    [
        "embedded_gaussian",
        "concatenation",
        pytest.param("gaussian", marks=pytest.mark.slow),
        pytest.param("dot_product", marks=pytest.mark.slow),
    ],
)
def test_behaves_as_a_layer_should(check_layer, mode):
    check_layer(NonLocal(mode), image(2, 7, 6, 8))


@pytest.mark.parametrize("mode", ["embedded_gaussian", "concatenation"])
def test_takes_maps_of_unknown_size(mode):
    check_free_sizes(NonLocal(mode), image(2, 7, 6, 8))


def test_regrouped_dot_product_takes_maps_of_unknown_size():
    check_free_sizes(NonLocal("dot_product", pool_first=False), image(2, 4, 6, 8))


@pytest.mark.parametrize("use_norm", [True, False])
def test_starts_as_the_identity(use_norm):
    x = image(2, 5, 4, 8)
    np.testing.assert_array_equal(run(NonLocal(use_norm=use_norm), x)[0], x)


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 2_101_760),
        ({"use_norm": False}, 2_099_712),
        ({"mode": "dot_product"}, 2_101_760),
        ({"mode": "gaussian"}, 2_101_760 - 2 * (1024 * 512 + 512)),
        ({"mode": "concatenation"}, 2_101_760 + 1024),
    ],
)
def test_parameters_are_the_published_count(options, count):
    assert parameters(build(NonLocal(**options), image(1, 2, 2, 1024))) == count


@pytest.mark.parametrize("mode", MODES)
def test_asking_for_the_attention_changes_no_number(mode):
    x = image(2, 6, 6, 4)
    layer = ready(x, mode=mode, inner_channels=3)
    with_map = build(NonLocal.from_config(layer.get_config() | {"return_attention": True}), x)
    with_map.set_weights(layer.get_weights())
    y, attention = run(with_map, x)
    assert attention.shape == (2, 36, 9)
    assert error([y], run(layer, x)) < 1e-6


def test_the_scale_divides_the_logits():
    """At a quarter of the logits (inner width 16) the attention is flatter, and equals that of quartered queries."""
    x = image(1, 4, 4, 16)
    layer = ready(x, inner_channels=16, use_scale=True, return_attention=True)
    plain = build(NonLocal(inner_channels=16, use_scale=False, return_attention=True), x)
    plain.set_weights(layer.get_weights())
    for variable in (plain.theta.kernel, plain.theta.bias):
        variable.assign(variable / 4)
    np.testing.assert_allclose(run(plain, x)[1], run(layer, x)[1], atol=1e-6)


def test_pooling_first_and_pooling_last_differ():
    x = image(1, 4, 4, 8)
    first = ready(x, pool_first=True)
    last = build(NonLocal(pool_first=False), x)
    last.set_weights(first.get_weights())
    assert error(run(first, x), run(last, x)) > 1e-3


@pytest.mark.parametrize("shape", [(2, 1, 1, 4), (2, 2, 2, 4), (2, 1, 5, 4), (2, 3, 2, 4)])
@pytest.mark.parametrize("mode", MODES)
def test_small_maps_work_without_a_warning(mode, shape):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="__array__ implementation")
        y, attention = run(ready(image(*shape), mode=mode, return_attention=True), image(*shape))
    assert y.shape == shape and np.all(np.isfinite(attention))


@PROPERTY
@given(
    st.sampled_from(MODES),
    st.integers(1, 6),
    st.integers(1, 6),
    st.integers(1, 7),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_without_subsampling_the_order_of_positions_does_not_matter(mode, height, width, channels, use_scale, random):
    """Permuted positions give permuted outputs; softmax rows sum to one."""
    x = image(2, height, width, channels)
    layer = ready(x, mode=mode, sub_sample=False, use_scale=use_scale, return_attention=True)
    y, attention = run(layer, x)
    if "gaussian" in mode:
        np.testing.assert_allclose(attention.sum(-1), 1, atol=1e-5)
    order = random.sample(range(height * width), height * width)
    shuffled = x.reshape(2, -1, channels)[:, order].reshape(x.shape)
    got = run(layer, shuffled)[0].reshape(2, -1, channels)
    np.testing.assert_allclose(got, y.reshape(2, -1, channels)[:, order], atol=2e-5)


def test_float16_survives_logits_beyond_its_range():
    """Rows of 64 channels of size 60 have products of 230,000, over float16's largest number."""
    x = 60 * np.sign(image(1, 4, 4, 64))
    layer = ready(x, mode="gaussian", use_scale=False, return_attention=True)
    half = build(NonLocal.from_config(layer.get_config() | {"dtype": "mixed_float16"}), x)
    half.set_weights(layer.get_weights())
    np.testing.assert_allclose(run(half, x)[1], run(layer, x)[1], atol=1e-3)


@pytest.mark.parametrize(
    ("options", "message"), [({"mode": "gauss"}, "embedded_gaussian"), ({"inner_channels": 0}, "inner_channels")]
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        NonLocal(**options)


def test_a_reduction_below_one_is_named():
    with pytest.raises(ValueError, match="reduction"):
        NonLocal(reduction=0)(keras.Input((4, 4, 8)))
