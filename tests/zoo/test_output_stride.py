"""Strides that became dilation: the original's values are in the copy, its weights fit, and what cannot be says so."""

import keras
import numpy as np
import pytest
from helpers import largest_difference, pixels, randomise
from keras import ops

from kattn.zoo import create, dilate, features
from kattn.zoo.backbones import BACKBONES

WITH_UNITS = [name for name in BACKBONES if name.startswith("attention")]  # their units stride inside


def own_stride(name):
    """Of a network's last map."""
    if BACKBONES[name].input_shape[0] == 32:
        return 4
    return 16 if name == "squeezenet1_1" else 32


def assert_contained(name, output_stride, size, **options):
    """Every map of the network is found in the copy, at every s-th position."""
    model = features(create(name, include_top=False, input_shape=(size, size, 3), **options))
    randomise(model)
    copy = dilate(model, output_stride)
    x = pixels((2, size, size, 3))
    old, new = model(x, training=False), copy(x, training=False)
    for level in old:
        step = max(1, 2 ** int(level[1:]) // output_stride)
        a = ops.convert_to_numpy(old[level])
        b = ops.convert_to_numpy(new[level])[:, ::step, ::step]
        b = b[:, : a.shape[1], : a.shape[2]]
        np.testing.assert_allclose(b, a, atol=1e-5 * np.abs(a).max(), err_msg=f"{name} {level}")
        assert step == 1 or new[level].shape[1] > old[level].shape[1]


# One of each way to stride: a convolution with padding, a shortcut, a depthwise one, poolings with and without overlap.
@pytest.mark.parametrize(
    ("name", "output_stride", "size"),
    [
        ("resnet20", 1, 16),
        ("densenet40_k12", 1, 16),
        ("mobilenet_v2_cifar", 1, 16),
        ("shufflenet_g2_cifar", 2, 16),
        ("vgg16", 8, 64),
        ("squeezenet1_1", 8, 64),
        ("resnet18", 8, 64),
    ],
)
def test_every_value_of_the_original_is_found_in_the_copy(name, output_stride, size):
    assert_contained(name, output_stride, size)


@pytest.mark.slow
@pytest.mark.parametrize("halvings", [1, 2])
@pytest.mark.parametrize("name", [name for name in BACKBONES if name not in WITH_UNITS])
def test_every_value_of_every_backbone_is_found_in_its_copy(name, halvings):
    stride = own_stride(name)
    size = 128 if name == "inception_resnet_v2" else 2 * stride
    assert_contained(name, stride >> halvings, size)


@pytest.mark.parametrize("name", ["se_resnet20", "afi_resnet20", "cbam_mobilenet_v2_cifar", "abn_resnet20"])
def test_a_network_with_an_attention_has_a_copy_too(name):
    model = create(name, include_top=False, input_shape=(16, 16, 3))
    copy = dilate(model, 1)
    assert copy.output_shape == (None, 16, 16, model.output_shape[-1])
    assert np.all(np.isfinite(ops.convert_to_numpy(copy(pixels((1, 16, 16, 3))))))


def rates(model, kernel_size=(3, 3)):
    """(layer, dilation) of the spatial convolutions that are dilated, in order."""
    spatial = (layer for layer in model.layers if getattr(layer, "kernel_size", None) == kernel_size)
    return [(layer.name, layer.dilation_rate[0]) for layer in spatial if layer.dilation_rate[0] > 1]


def test_a_resnet_is_dilated_as_the_authors_do():
    model = create("resnet50", include_top=False, input_shape=(33, 33, 3))
    stage3 = [f"stage3_block{i}_conv2" for i in range(1, 7)]
    stage4 = [f"stage4_block{i}_conv2" for i in range(1, 4)]
    like_encnet = dilate(model)  # the first block of a stage keeps the dilation of the stage before
    assert rates(like_encnet) == [(n, 2) for n in stage3[1:]] + [("stage4_block1_conv2", 2)] + [
        (n, 4) for n in stage4[1:]
    ]
    like_psanet = dilate(model, dilate_first=True)
    assert rates(like_psanet) == [(n, 2) for n in stage3] + [(n, 4) for n in stage4]
    assert like_psanet.output_shape == like_encnet.output_shape == (None, 5, 5, 2048)


def test_weights_and_files_of_the_original_fit(tmp_path):
    model = create("resnet20", input_shape=(16, 16, 3))
    randomise(model)
    copy = dilate(model, 2)
    for a, b in zip(model.weights, copy.weights, strict=True):
        assert a.shape == b.shape
        np.testing.assert_array_equal(ops.convert_to_numpy(a), ops.convert_to_numpy(b))
    model.save_weights(tmp_path / "model.weights.h5")
    fresh = dilate(create("resnet20", input_shape=(16, 16, 3)), 2)
    fresh.load_weights(tmp_path / "model.weights.h5")
    x = pixels((2, 16, 16, 3))
    assert largest_difference(fresh(x), copy(x)) == 0
    copy.save(tmp_path / "copy.keras")
    loaded = keras.saving.load_model(tmp_path / "copy.keras")
    assert largest_difference(loaded(x), copy(x)) < 1e-5


def test_sizes_may_stay_open():
    fixed = dilate(create("densenet40_k12", include_top=False, input_shape=(16, 16, 3)), 2)
    open_ = dilate(create("densenet40_k12", include_top=False, input_shape=(None, None, 3)), 2)
    open_.set_weights(fixed.get_weights())
    x = pixels((1, 16, 16, 3))
    assert largest_difference(open_(x), fixed(x)) < 1e-5
    assert open_(pixels((1, 13, 21, 3))).shape[1:3] == (6, 10)


def test_the_network_s_own_stride_is_a_plain_copy():
    model = create("resnet20", input_shape=(16, 16, 3))
    x = pixels((2, 16, 16, 3))
    assert largest_difference(dilate(model, 4)(x), model(x)) == 0


@pytest.mark.parametrize(
    ("name", "output_stride", "message"),
    [
        ("resnet20", 8, "resnet20 has a stride of 4 and no more: take output_stride=4 or less"),
        ("resnet20", 3, "has no map of stride 3; the next finer one has 2"),
        ("resnet20", 0, "output_stride must be an integer of at least 1"),
        ("sk_resnet20", 2, r"conv1_selective_kernel \(SelectiveKernel\) strides inside"),
        ("ge_resnet20", 2, r"kernel of shape \(4, 4, 64, 1\) belongs to the map's size and would be \(8, 8, 64, 1\)"),
    ],
)
def test_what_cannot_be_says_why(name, output_stride, message):
    with pytest.raises(ValueError, match=message):
        dilate(create(name, input_shape=(16, 16, 3)), output_stride)


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_UNITS)
def test_residual_attention_networks_say_why_not(name):
    model = create(name, include_top=False, input_shape=(64, 64, 3))
    for output_stride in (8, 16):
        with pytest.raises(ValueError, match=r"unit\d? \(\w+Bottleneck\) strides inside"):
            dilate(model, output_stride)


def test_a_model_within_the_model_is_refused():
    x = keras.Input((16, 16, 3))
    nested = keras.Model(x, create("resnet20", input_shape=(16, 16, 3))(x), name="outer")
    with pytest.raises(ValueError, match="outer: resnet20 is a model within the model"):
        dilate(nested, 2)
