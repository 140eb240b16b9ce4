import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.layer_checks import PROPERTY, build, image, outputs_and_gradients, parameters, randomise, run

from kattn.layers import CrossChannelCommunication


def ready(x, **options):
    layer = build(CrossChannelCommunication(**options), x)
    randomise(layer)
    return layer


def test_behaves_as_a_layer_should(check_layer):
    check_layer(CrossChannelCommunication(size=(4, 3), channel_block=4, return_attention=True), image(2, 8, 5, 8))


def test_patches_behave(check_layer):
    options = {"size": 3, "large_maps": "patches", "use_norm": False, "detach": False}
    check_layer(CrossChannelCommunication(return_attention=True, **options), image(2, 5, 4, 6))


@pytest.mark.parametrize(
    ("options", "shapes", "count"),
    [
        # The stage inputs of a CIFAR ResNet with the sizes that cross_neuron_distributed.py halves; it has no BN.
        ({"downsample": 2, "use_norm": False}, [(32, 32, 16), (32, 32, 16), (16, 16, 32)], 68_880),
        # The stage outputs of the published counts: BN, and at most 16 x 16.
        ({"size": 16}, [(32, 32, 16), (16, 16, 32), (8, 8, 64)], 70_032),
        ({}, [(8, 8, 64)], 2_320),
    ],
)
def test_parameters_are_the_published_count(options, shapes, count):
    assert sum(parameters(build(CrossChannelCommunication(**options), image(1, *s))) for s in shapes) == count


@PROPERTY
@given(
    st.integers(1, 6),
    st.integers(1, 6),
    st.integers(1, 7),
    st.sampled_from([None, 2, (3, 2)]),
    st.sampled_from(["resize", "patches"]),
    st.randoms(use_true_random=False),
)
def test_the_order_of_channels_does_not_matter(height, width, channels, size, large_maps, random):
    """Permuted channels give permuted outputs, and the weights of what a channel hears sum to one."""
    x = image(2, height, width, channels)
    layer = ready(x, size=size, large_maps=large_maps, return_attention=True)
    y, attention = run(layer, x)
    np.testing.assert_allclose(attention.sum(-1), 1, atol=1e-5)
    order = random.sample(range(channels), channels)
    np.testing.assert_allclose(run(layer, x[..., order])[0], y[..., order], atol=2e-5)


def test_blocks_do_not_mix():
    x = image(1, 4, 4, 8)
    layer = ready(x, channel_block=4)
    y = run(layer, x)[0]
    x[..., 5] += 1
    changed = np.flatnonzero(np.abs(run(layer, x)[0] - y).max((0, 1, 2)))
    assert changed.min() >= 4


def test_more_than_512_channels_are_split_in_blocks():
    layer = build(CrossChannelCommunication(), image(1, 1, 2, 1024))
    assert layer.blocks == 2


def test_without_activation_it_is_a_residual_sum():
    x = image(1, 4, 4, 4)
    layer = ready(x, activation=None)
    copy = build(CrossChannelCommunication(), x)
    copy.set_weights(layer.get_weights())
    np.testing.assert_allclose(np.maximum(run(layer, x)[0], 0), run(copy, x)[0], atol=1e-6)


def test_detach_cuts_a_gradient_and_no_output():
    x = image(2, 4, 4, 4)
    through = ready(x, detach=False, reduction=1)
    cut = build(CrossChannelCommunication(detach=True, reduction=1), x)
    cut.set_weights(through.get_weights())
    one, other = (outputs_and_gradients(layer, x, training=False) for layer in (through, cut))
    np.testing.assert_allclose(one[0], other[0], atol=1e-6)
    assert np.max(np.abs(one[1] - other[1])) > 1e-6


def test_patches_follow_the_layout_of_the_authors_code():
    """7 rows in patches of 4 start at 0 and 3; what two rows of patches hear is divided by 2 squared, not by 2."""
    x = image(1, 7, 4, 3)
    layer = ready(x, size=4, large_maps="patches", activation=None)
    whole = build(CrossChannelCommunication(activation=None), x[:, :4])
    whole.set_weights(layer.get_weights())
    heard = np.zeros_like(x)
    for top in (0, 3):
        part = x[:, top : top + 4]
        heard[:, top : top + 4] += (run(whole, part)[0] - part) / 4
    np.testing.assert_allclose(run(layer, x)[0], x + heard, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"large_maps": "crop"}, "resize, patches"),
        ({"size": 0}, "size must be"),
        ({"size": (1, 2, 3)}, "size must be"),
        ({"downsample": 0}, "downsample"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        CrossChannelCommunication(**options)


def test_an_unknown_size_is_named():
    with pytest.raises(ValueError, match="known height and width"):
        CrossChannelCommunication()(keras.Input((None, None, 4)))


def test_channels_that_do_not_split_are_named():
    with pytest.raises(ValueError, match="do not split into 2 equal blocks"):
        CrossChannelCommunication(channel_block=4).build((None, 4, 4, 9))
