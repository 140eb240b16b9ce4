"""Attention is found wherever a layer offers it, and its maps are what the layer computes."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from support.explaining import around
from support.models import pixels, randomise

import kattn.layers as kl
from kattn.explain import attention, attention_values
from kattn.explain.attending.maps import last_of_each_size

IMAGES = pixels((2, 8, 12, 6)) / 255


def returned(layer, *inputs):
    """What the layer returns with its option on."""
    copy = type(layer).from_config({**layer.get_config(), "return_attention": True})
    copy(*inputs)
    copy.set_weights(layer.get_weights())
    return [np.asarray(y) for y in keras.tree.flatten(copy(*inputs))][1:]


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        (kl.CBAM(reduction=2, name="here"), "map"),
        (kl.GlobalContext(reduction=2, name="here"), "map"),
        (kl.BottleneckAttention(reduction=2, dilation=2, name="here"), "gate"),
        (kl.SqueezeExcite(reduction=2, name="here"), "channel_gate"),
        (kl.EfficientChannelAttention(name="here"), "channel_gate"),
        (kl.GatherExcite(name="here"), "channel_gate"),
        (kl.GatherExcite(extent=2, name="here"), "gate"),
        (kl.NonLocal(name="here"), "affinity"),
        (kl.PositionAttention(name="here"), "affinity"),
        (kl.SAGANAttention(name="here"), "affinity"),
        (kl.ChannelSelfAttention(name="here"), "channels"),
        (kl.CrossChannelCommunication(size=4, name="here"), "channels"),
        (kl.SelectiveKernel(8, groups=2, name="here"), "weights"),
        (kl.AttentiveFeatureIntegration(name="here"), "weights"),
        (kl.SpatialTransformer(hidden=4, name="here"), "theta"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, keras.Layer) else value,
)
def test_every_kind_is_told_by_its_shapes_and_keeps_its_values(layer, kind):
    model = around(layer)
    found = attention_values(model, IMAGES)["here"]
    inputs = [IMAGES, IMAGES * 2, IMAGES * IMAGES] if isinstance(layer, kl.AttentiveFeatureIntegration) else IMAGES
    assert found.kind == kind
    np.testing.assert_allclose(np.asarray(found), returned(layer, inputs)[0], atol=1e-5)


def test_gates_of_positions_are_enlarged_and_not_rescaled():
    layer = kl.CBAM(reduction=2, name="here")
    x = keras.Input((16, 24, 6), name="image")
    inner = layers.AveragePooling2D(2)(x)
    model = keras.Model(x, layers.GlobalAveragePooling2D()(layer(inner)))
    randomise(model)
    images = pixels((2, 16, 24, 6)) / 255
    gate = returned(layer, np.asarray(ops.average_pool(images, 2, data_format="channels_last")))[0]
    expected = np.asarray(ops.image.resize(gate, (16, 24), data_format="channels_last"))[..., 0]
    maps = attention(model, images)
    assert list(maps) == ["here"] and maps["here"].dtype == np.float32
    np.testing.assert_allclose(maps["here"], expected, atol=1e-5)
    np.testing.assert_allclose(maps["here"], attention(model, images, batch_size=1)["here"], atol=1e-6)


def test_an_affinity_is_shown_from_the_pixel_asked_for():
    layer = kl.NonLocal(sub_sample=True, name="here")
    model = around(layer)
    weights = returned(layer, IMAGES)[0].reshape(2, 8, 12, 4, 6)
    heat = attention(model, IMAGES, query=(5, 11))["here"]
    expected = np.asarray(ops.image.resize(weights[:, 5, 11, ..., None], (8, 12), data_format="channels_last"))
    np.testing.assert_allclose(heat, expected[..., 0], atol=1e-5)
    expected = ops.image.resize(weights.mean((1, 2))[..., None], (8, 12), data_format="channels_last")
    np.testing.assert_allclose(attention(model, IMAGES)["here"], np.asarray(expected)[..., 0], atol=1e-5)
    for query in ((8, 0), (0, 12), (-1, 0)):
        with pytest.raises(ValueError, match="a row of 0 to 7 and a column of 0 to 11"):
            attention(model, IMAGES, query=query)


def test_a_second_recurrence_of_criss_cross_attention_includes_the_first():
    layer = kl.CrissCrossAttention(reduction=2, name="here")
    model = around(layer)
    one, two = attention(model, IMAGES, query=(2, 3)).values()
    outside = np.ones((8, 12), bool)
    outside[2], outside[:, 3] = False, False
    assert (one[:, outside] == 0).all() and (two[:, outside] > 0).all()
    first, second = returned(layer, IMAGES)
    full = np.zeros((2, 8, 12, 8, 12))  # the first recurrence as one matrix from positions to positions
    for i, j in np.ndindex(8, 12):
        full[:, i, j, :, j] += first[:, i, j, :8]
        full[:, i, j, i, :] += first[:, i, j, 8:]
    cross = np.zeros((2, 8, 12))
    cross[:, :, 3] += second[:, 2, 3, :8]
    cross[:, 2, :] += second[:, 2, 3, 8:]
    np.testing.assert_allclose(two, np.einsum("nij,nijkl->nkl", cross, full), atol=1e-5)
    for heat in (one, two):
        np.testing.assert_allclose(heat.sum((1, 2)), 1, atol=1e-5)


def test_a_spatial_transformers_map_is_where_it_reads():
    layer = kl.SpatialTransformer(hidden=4, name="here")
    x = keras.Input((8, 12, 6), name="image")
    model = keras.Model(x, layers.GlobalAveragePooling2D()(layer(x)))
    layer.theta.bias.assign([0.5, 0, 0.5, 0, 0.5, -0.5])  # the upper right quarter
    heat = attention(model, IMAGES)["here"]
    expected = np.zeros((8, 12))
    expected[:4, 6:] = 1
    np.testing.assert_array_equal(heat, np.broadcast_to(expected, (2, 8, 12)))
    layer.theta.bias.assign([0, 0, 0, 0, 0, 0])  # everything from one point
    assert attention(model, IMAGES)["here"].max() == 0


def test_residual_attention_shows_its_mask():
    layer = kl.ResidualAttention(depth=1, name="here")
    model = around(layer)
    np.testing.assert_allclose(attention(model, IMAGES)["here"], returned(layer, IMAGES)[0].mean(-1), atol=1e-5)


def test_channel_gates_come_from_a_method_where_the_option_returns_something_else():
    layer = kl.CBAM(reduction=2, name="here")
    found = attention_values(around(layer), IMAGES)
    assert list(found) == ["here", "here:channels"]
    np.testing.assert_allclose(np.asarray(found["here:channels"]), np.asarray(layer.channel_gate(IMAGES)), atol=1e-6)


@keras.saving.register_keras_serializable("test")
class Foreign(keras.Layer):
    """Somebody else's layer, with the same option."""

    def __init__(self, return_attention=False, **kwargs):
        super().__init__(**kwargs)
        self.return_attention = return_attention

    def call(self, x):
        gate = ops.sigmoid(x[..., :1])
        return (x * gate, gate) if self.return_attention else x * gate

    def get_config(self):
        return {**super().get_config(), "return_attention": self.return_attention}


def test_layers_of_others_and_in_nested_models_are_found():
    inner = keras.Sequential([keras.Input((8, 12, 6)), Foreign(name="foreign")], name="inner")
    x = keras.Input((8, 12, 6), name="image")
    y, gate = Foreign(return_attention=True, name="open")(inner(x))
    model = keras.Model(x, [layers.GlobalAveragePooling2D()(y), gate])
    maps = attention(model, IMAGES)
    assert list(maps) == ["inner/foreign", "open"]
    np.testing.assert_allclose(maps["inner/foreign"], 1 / (1 + np.exp(-IMAGES[..., 0])), atol=1e-5)
    assert list(attention(model, IMAGES, layers="foreign")) == ["inner/foreign"]


def test_a_model_without_attention_over_positions_says_what_it_has():
    with pytest.raises(ValueError, match="has no attention over positions; it has here"):
        attention(around(kl.SqueezeExcite(reduction=2, name="here")), IMAGES)
    plain = around(layers.Conv2D(3, 1))
    with pytest.raises(ValueError, match=r"no attention layers at all.*grad_cam explains any"):
        attention(plain, IMAGES)
    with pytest.raises(ValueError, match="closest: here"):
        attention(around(kl.CBAM(reduction=2, name="here")), IMAGES, layers="her")


def test_the_last_attention_on_each_size_of_map_is_one_a_level():
    x = keras.Input((8, 12, 6), name="image")
    y = kl.CBAM(reduction=2, name="first")(x)
    y = kl.SqueezeExcite(reduction=2, name="no_positions")(kl.CBAM(reduction=2, name="second")(y))
    y = kl.CBAM(reduction=2, name="small")(layers.AveragePooling2D(2)(y))
    model = keras.Model(x, layers.GlobalAveragePooling2D()(y))
    assert last_of_each_size(model, (8, 12, 6)) == ["second", "small"]
