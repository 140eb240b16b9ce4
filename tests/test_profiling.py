import keras
import pytest
from keras import layers, ops

import kattn
from kattn.layers import SpectralNorm


def profile_of(*stack, shape=(8, 8, 4), **options):
    x = keras.Input(shape)
    y = x
    for layer in stack:
        y = layer(y)
    return kattn.profile(keras.Model(x, y), **options)


@pytest.mark.parametrize(
    ("layer", "macs"),
    [
        (layers.Conv2D(6, 3, padding="same"), 64 * 9 * 4 * 6),
        (layers.Conv2D(6, 3, strides=2, padding="same"), 16 * 9 * 4 * 6),
        (layers.Conv2D(8, 3, groups=4, padding="same"), 64 * 9 * 1 * 8),
        (kattn.layers.GroupedConv2D(8, 3, groups=4, padding="same"), 64 * 9 * 1 * 8),
        (SpectralNorm(layers.Conv2D(6, 3, padding="same")), 64 * 9 * 4 * 6),
        (layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2), 64 * 9 * 4 * 2),
        (layers.SeparableConv2D(6, 3, padding="same"), 64 * (9 * 4 + 4 * 6)),
        (layers.Conv2DTranspose(6, 3, strides=2, padding="same"), 64 * 9 * 4 * 6),
        (layers.Dense(5), 64 * 4 * 5),
        (layers.EinsumDense("...ab,bc->...ac", (8, 5)), 64 * 4 * 5),
        (layers.BatchNormalization(), 0),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, keras.Layer) else "",
)
def test_each_kind_of_layer_is_counted_by_its_formula(layer, macs):
    assert profile_of(layer).macs == macs


def test_layers_inside_layers_are_counted_as_often_as_they_run():
    cost = profile_of(kattn.layers.CBAM(reduction=2, kernel_size=3))
    mlp = 4 * 2 + 2 * 4
    assert cost.macs == cost.attention_macs == 2 * mlp + 64 * 9 * 2
    assert cost.attention_parameters == cost.parameters
    assert [row[1:] for row in cost.by_layer] == [("CBAM", cost.macs)]


def test_a_shared_layer_counts_twice_and_its_parameters_once():
    conv = layers.Conv2D(4, 1, use_bias=False)
    cost = profile_of(conv, conv)
    assert (cost.macs, cost.parameters) == (2 * 64 * 16, 16)


@keras.saving.register_keras_serializable("kattn_test")
class Product(keras.Layer):
    def call(self, x):
        flat = ops.reshape(x, (-1, 64, 4))
        affinity = ops.matmul(flat, ops.transpose(flat, (0, 2, 1)))
        return ops.einsum("nij,njc->nic", affinity, flat)


def test_matrix_products_are_counted_apart():
    cost = profile_of(Product())
    assert (cost.macs, cost.matmul_macs) == (0, 2 * 64 * 64 * 4)


def test_products_of_pooled_maps_are_layers():
    cost = profile_of(kattn.layers.SqueezeExcite(2))
    assert (cost.macs, cost.matmul_macs) == (4 * 2 * 2, 0)


def test_foreign_and_nested_models_are_counted():
    inner = keras.applications.MobileNetV2(input_shape=(96, 96, 3), weights=None)
    cost = kattn.profile(inner)
    assert cost.parameters == 3_504_872
    x = keras.Input((96, 96, 3))
    assert kattn.profile(keras.Model(x, inner(x))).macs == cost.macs


def test_the_models_own_calls_are_left_as_they_were():
    call, matmul = keras.Layer.__call__, ops.matmul
    profile_of(layers.Dense(2))
    assert keras.Layer.__call__ is call and ops.matmul is matmul


def test_open_sizes_have_to_be_given():
    model = kattn.zoo.create("resnet20", input_shape=(None, None, 3), classes=100)
    with pytest.raises(ValueError, match=r"input_shape=\(h, w, c\)"):
        kattn.profile(model)
    assert kattn.profile(model, input_shape=(32, 32, 3)).macs == 40818944


def test_an_unbuilt_model_is_refused():
    with pytest.raises(ValueError, match="is not built"):
        kattn.profile(keras.Sequential([layers.Dense(2)]))


def test_it_reads_well():
    text = str(kattn.profile(kattn.zoo.create("se_resnet20")))
    assert "parameters" in text and "attention layers" in text and "MiB" in text
