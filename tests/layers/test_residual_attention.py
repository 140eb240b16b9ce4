import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.layer_checks import PROPERTY, build, check_free_sizes, image, parameters, randomise, run

from kattn.layer_checks.checking import check
from kattn.layers import ResidualAttention
from kattn.layers.residual_attention import ATTENTIONS


def ready(x, *args, **options):
    layer = build(ResidualAttention(*args, **options), x)
    randomise(layer, scale=0.1)
    return layer


def test_behaves_as_a_layer_should(check_layer):
    check_layer(ResidualAttention(1, "spatial", trunk_units=1, return_attention=True), image(2, 5, 4, 4))


@pytest.mark.slow
@pytest.mark.parametrize(("depth", "attention"), [(2, "channel"), (3, "mixed")])
def test_deeper_modules_behave(check_layer, depth, attention):
    check_layer(ResidualAttention(depth, attention, return_attention=True), image(2, 9, 10, 8))


@pytest.mark.slow
def test_two_levels_export():
    x = image(2, 6, 5, 4)
    check(ready(x, 2, "channel", trunk_units=1), x, only=("TFLite", "ONNX")).require()


def test_takes_maps_of_unknown_size():
    check_free_sizes(ResidualAttention(2, trunk_units=1), image(2, 7, 6, 4))


@pytest.mark.parametrize(("channels", "depth", "count"), [(256, 3, 976_896), (512, 2, 3_046_912), (1024, 1, 8_804_352)])
def test_parameters_are_the_published_count(channels, depth, count):
    assert parameters(build(ResidualAttention(depth), image(1, 1, 1, channels))) == count


@settings(PROPERTY, max_examples=6)
@given(st.sampled_from(sorted(ATTENTIONS)), st.integers(1, 3), st.integers(1, 9), st.integers(1, 9))
def test_any_size_goes_down_and_up_again(attention, depth, height, width):
    """The shape stays, the mask is a gate (mixed, spatial) or a unit vector at each position (channel)."""
    x = image(2, height, width, 4)
    y, mask = run(ready(x, depth, attention, trunk_units=1, return_attention=True), x)
    assert y.shape == mask.shape == x.shape and np.all(np.isfinite(y))
    if attention == "channel":
        np.testing.assert_allclose((mask**2).sum(-1), 1, atol=1e-3)
    else:
        assert mask.min() >= 0 and mask.max() <= 1


@pytest.mark.parametrize(
    ("options", "message"), [({"attention": "f1"}, "mixed, channel, spatial"), ({"depth": 0}, "at least 1")]
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        ResidualAttention(**options)
