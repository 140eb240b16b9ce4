"""Strides that became dilation: the original's values are in the copy, its weights fit, and what cannot be says so."""

import keras
import numpy as np
import pytest
from keras import ops
from support.models import largest_difference, pixels, randomise

import kattn
from kattn.zoo import create, dilate, features, list_models
from kattn.zoo.backbones.table import BACKBONES
from kattn.zoo.grammar.convolutions import conv, depthwise_bn

WITH_UNITS = [name for name in BACKBONES if name.startswith("attention")]  # their units stride inside


def own_stride(name):
    """Of a network's last map."""
    if BACKBONES[name].input_shape[0] == 32:
        return 4
    return 16 if name == "squeezenet1_1" else 32


def assert_contained(model, output_stride):
    """Every map of the network is found in the copy, at every s-th position; gives the copy back."""
    randomise(model)
    copy = dilate(model, output_stride)
    x = pixels((2, *model.input_shape[1:]))
    old, new = model(x, training=False), copy(x, training=False)
    for level in old:
        step = max(1, 2 ** int(level[1:]) // output_stride)
        a = ops.convert_to_numpy(old[level])
        b = ops.convert_to_numpy(new[level])[:, ::step, ::step]
        b = b[:, : a.shape[1], : a.shape[2]]
        np.testing.assert_allclose(b, a, atol=1e-5 * np.abs(a).max(), err_msg=f"{model.name} {level}")
        assert step == 1 or new[level].shape[1] > old[level].shape[1]
    return copy


def backbone(name, size):
    return features(create(name, include_top=False, input_shape=(size, size, 3)))


def every_kind(size):
    """Halves the map in every way that the zoo knows: C1 to C6."""
    layers = keras.layers
    x = image = keras.Input((size, size, 3))
    x = layers.Conv2D(4, 3, padding="same")(layers.ZeroPadding2D(1)(conv(x, 3, 3, 2, name="first")))
    outputs = {"C1": x[:, 1:-1, 1:-1]}
    x = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(outputs["C1"]))
    outputs["C2"] = depthwise_bn(x, 3, name="depthwise1")
    x = layers.AveragePooling2D(2)(depthwise_bn(outputs["C2"], 3, name="depthwise2"))
    outputs["C3"] = conv(x, 4, 3, groups=2, name="grouped")
    x = depthwise_bn(outputs["C3"], 3, 2, name="depthwise3")
    outputs["C4"] = layers.AveragePooling2D(3, 1, "same")(conv(x, 4, 3, separable=True, name="separable"))
    x = layers.MaxPooling2D(3, 2, "same")(layers.MaxPooling2D(3, 1, "same")(outputs["C4"]))
    outputs["C5"] = layers.Add()([conv(x, 4, 3, name="branch"), conv(outputs["C4"], 4, 1, 2, name="shortcut")])
    x = conv(outputs["C5"], 6, 3, 2, groups=2, name="grouped_strided")
    outputs["C6"] = layers.Conv2D(4, 3, padding="same", dilation_rate=2)(x)
    return keras.Model(image, outputs, name="every_kind")


@pytest.mark.parametrize("output_stride", [2, 16])
def test_every_value_of_the_original_is_found_in_the_copy(output_stride):
    copy = assert_contained(every_kind(64), output_stride)
    shapes = {level: y.shape[1] for level, y in copy.output.items()}
    assert shapes == {f"C{k}": 64 >> min(k, output_stride.bit_length() - 1) for k in range(1, 7)}


@pytest.mark.slow
@pytest.mark.parametrize("halvings", [1, 2])
@pytest.mark.parametrize("name", [name for name in BACKBONES if name not in WITH_UNITS])
def test_every_value_of_every_backbone_is_found_in_its_copy(name, halvings):
    stride = own_stride(name)
    unpadded = {"inception_resnet_v2": 128, "squeezenet1_1": 128}  # these lose a border at each convolution or pooling
    assert_contained(backbone(name, unpadded.get(name, 2 * stride)), stride >> halvings)


def attended(layer, size=16):
    """Two convolutions that halve the map, with an attention between them."""
    x = image = keras.Input((size, size, 3))
    x = layer(keras.layers.Conv2D(16, 3, 2, "same", name="first")(x))
    return keras.Model(image, keras.layers.Conv2D(8, 3, 2, "same", name="second")(x), name="attended")


SIZED = ("ge_", "c3_")  # whose weights belong to the map's size, gather-excite's by default
ATTENDED = [name for name in list_models("*_mobilenet_v2_cifar") if not any(part in name for part in SIZED)]


@pytest.mark.parametrize("name", ["cbam", "nl"])
def test_an_attention_takes_the_larger_map_with_its_weights(name):
    layer = kattn.layers.get(name)
    model = attended(layer)
    randomise(model)
    copy = dilate(model, 1)
    assert copy.output_shape == (None, 16, 16, 8)
    attention, larger = (one.get_layer(layer.name) for one in (model, copy))
    maps = pixels((1, 16, 16, 16)) / 255
    assert largest_difference(larger(maps), attention(maps)) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["afi_resnet20", *ATTENDED])
def test_a_network_with_an_attention_has_a_copy_too(name):
    model = create(name, include_top=False, input_shape=(16, 16, 3))
    copy = dilate(model, 1)
    assert copy.output_shape == (None, 16, 16, model.output_shape[-1])
    assert np.all(np.isfinite(ops.convert_to_numpy(copy(pixels((1, 16, 16, 3))))))


@pytest.mark.slow
@pytest.mark.parametrize("name", [f"{part}resnet20" for part in SIZED])
def test_networks_whose_weights_belong_to_the_size_of_a_map_say_so(name):
    model = create(name, include_top=False, input_shape=(16, 16, 3))
    with pytest.raises(ValueError, match=r"weight .* belongs to the map's size"):
        dilate(model, 1)


def rates(model):
    """(layer, dilation) of the spatial convolutions that are dilated, in order."""
    spatial = (layer for layer in model.layers if getattr(layer, "kernel_size", None) == (3, 3))
    return [(layer.name, layer.dilation_rate[0]) for layer in spatial if layer.dilation_rate[0] > 1]


@pytest.mark.slow
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
    model = every_kind(32)
    randomise(model)
    copy = dilate(model, 4)
    for a, b in zip(model.weights, copy.weights, strict=True):
        assert a.shape == b.shape
        np.testing.assert_array_equal(ops.convert_to_numpy(a), ops.convert_to_numpy(b))
    model.save_weights(tmp_path / "model.weights.h5")
    fresh = dilate(every_kind(32), 4)
    fresh.load_weights(tmp_path / "model.weights.h5")
    x = pixels((2, 32, 32, 3))
    assert largest_difference(fresh(x), copy(x)) == 0
    copy.save(tmp_path / "copy.keras")
    loaded = keras.saving.load_model(tmp_path / "copy.keras")
    assert largest_difference(loaded(x), copy(x)) < 1e-5


def test_sizes_may_stay_open():
    model = every_kind(None)
    open_, fixed = dilate(model, 4), dilate(every_kind(33), 4)
    fixed.set_weights(open_.get_weights())
    x = pixels((1, 33, 33, 3))
    assert largest_difference(open_(x), fixed(x)) < 1e-5
    assert {y.shape[1:3] for y in open_(pixels((1, 48, 80, 3))).values()} == {(24, 40), (12, 20)}


def test_the_network_s_own_stride_is_a_plain_copy():
    model = every_kind(64)
    x = pixels((2, 64, 64, 3))
    assert largest_difference(dilate(model, 64)(x), model(x)) == 0


def test_the_convolution_that_lost_its_stride_is_dilated_too_on_request():
    model = every_kind(32)
    before, after = dilate(model, 4), dilate(model, 4, dilate_first=True)
    strided = ("depthwise3", "grouped_strided")
    assert [before.get_layer(name).dilation_rate for name in strided] == [(2, 2), (8, 8)]
    assert [after.get_layer(name).dilation_rate for name in strided] == [(4, 4), (16, 16)]
    assert before.get_layer("shortcut").dilation_rate == (1, 1)  # a window of one position has no distances
    assert {k: y.shape for k, y in before.output.items()} == {k: y.shape for k, y in after.output.items()}


@pytest.mark.parametrize(
    ("output_stride", "message"),
    [
        (128, "every_kind has a stride of 64 and no more: take output_stride=64 or less"),
        (3, "has no map of stride 3; the next finer one has 2"),
        (0, "output_stride must be an integer of at least 1"),
    ],
)
def test_a_stride_that_cannot_be_says_why(output_stride, message):
    with pytest.raises(ValueError, match=message):
        dilate(every_kind(64), output_stride)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: kattn.layers.SelectiveKernel(16, strides=2, groups=4, name="kernels"),
            r"kernels \(SelectiveKernel\) strides inside",
        ),
        (
            kattn.layers.GatherExcite,
            r"kernel of shape \(8, 8, 16, 1\) belongs to the map's size and would be \(16, 16, 16, 1\)",
        ),
        (kattn.layers.CrossChannelCommunication, r"weight .* belongs to the map's size and would be"),
    ],
    ids=["sk", "ge", "c3"],
)
def test_a_layer_without_a_dilated_form_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        dilate(attended(make()), 1)


def test_an_adapted_normalisation_and_frozen_layers_stay_as_they_are():
    normalise = keras.layers.Normalization(name="normalise")
    normalise.adapt(pixels((8, 16, 16, 3)))
    image = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3, 2, "same", name="conv", trainable=False)(normalise(image))
    copy = dilate(keras.Model(image, x), 1)
    x = pixels((2, 16, 16, 3))
    assert largest_difference(copy.get_layer("normalise")(x), normalise(x)) == 0
    assert not copy.get_layer("conv").trainable


def test_branches_of_equal_shape_keep_their_weights():
    """The copy has a layer more in one branch, which changes the order in which Keras lists the layers."""
    conv2d = keras.layers.Conv2D
    image = keras.Input((16, 16, 4))
    same = conv2d(4, 3, 2, "same", name="same")(keras.layers.ReLU()(conv2d(4, 1, name="before_same")(image)))
    padded = keras.layers.ZeroPadding2D(1)(conv2d(4, 1, name="before_valid")(image))
    model = keras.Model(image, keras.layers.Add()([same, conv2d(4, 3, 2, name="valid")(padded)]))
    randomise(model)
    copy = dilate(model, 1, dilate_first=True)
    assert [weight.path for weight in copy.weights] != [weight.path for weight in model.weights]
    for layer in model.layers:
        for old, new in zip(layer.get_weights(), copy.get_layer(layer.name).get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_UNITS)
def test_residual_attention_networks_say_why_not(name):
    model = create(name, include_top=False, input_shape=(64, 64, 3))
    for output_stride in (8, 16):
        with pytest.raises(ValueError, match=r"unit\d? \(\w+Bottleneck\) strides inside"):
            dilate(model, output_stride)


def test_a_model_within_the_model_is_refused():
    x = keras.Input((16, 16, 3))
    nested = keras.Model(x, attended(keras.layers.ReLU())(x), name="outer")
    with pytest.raises(ValueError, match="outer: attended is a model within the model"):
        dilate(nested, 2)
