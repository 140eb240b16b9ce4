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


@pytest.mark.parametrize(
    ("inner", "macs"),
    [(layers.Conv2D(6, 3, padding="same"), 64 * 9 * 4 * 6), (layers.Dense(5), 64 * 4 * 5)],
    ids=["conv", "dense"],
)
def test_a_layer_counts_once_a_time_step(inner, macs):
    assert profile_of(layers.TimeDistributed(inner), shape=(3, 8, 8, 4)).macs == 3 * macs


def test_foreign_models_are_counted():
    assert kattn.profile(keras.applications.MobileNetV2((32, 32, 3), weights=None)).parameters == 3_504_872


# ---------------------------------------------------------------- frozen and nested


def small():
    """A convolution of 112 values, a normalisation of 8 and 8 statistics, attention of 14."""
    image = keras.Input((8, 8, 3))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(image))
    return keras.Model(image, kattn.layers.SqueezeExcite(4)(layers.ReLU()(x)), name="small")


def frozen():
    model = small()
    model.trainable = False
    return model


def partly_frozen():
    model = small()
    model.layers[1].trainable = False
    return model


def frozen_when_built():
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", trainable=False)(image)
    x = layers.ReLU()(layers.BatchNormalization(trainable=False)(x))
    return keras.Model(image, kattn.layers.SqueezeExcite(4)(x))


def nested(model):
    image = keras.Input((8, 8, 3))
    return keras.Model(image, model(image))


def doubly_nested_in_a_sequential(model):
    return nested(keras.Sequential([keras.Input((8, 8, 3)), nested(model)]))


@pytest.mark.parametrize("around", [lambda model: model, nested, doubly_nested_in_a_sequential])
@pytest.mark.parametrize(
    ("make", "trainable"), [(small, 133), (frozen, 0), (partly_frozen, 21), (frozen_when_built, 13)]
)
def test_frozen_weights_are_parameters_and_statistics_are_not(make, trainable, around):
    cost = kattn.profile(around(make()))
    assert (cost.parameters, cost.non_trainable, cost.attention_parameters) == (133, 8, 13)
    assert cost.trainable_parameters == trainable
    assert (f"{trainable} trainable" in str(cost)) == (trainable != 133)


def test_a_frozen_model_from_a_file_has_its_parameters(tmp_path):
    frozen().save(tmp_path / "frozen.keras")
    cost = kattn.profile(keras.saving.load_model(tmp_path / "frozen.keras"))
    assert (cost.parameters, cost.trainable_parameters) == (133, 0)


@pytest.mark.parametrize("around", [nested, doubly_nested_in_a_sequential])
def test_a_nested_model_costs_what_it_costs_alone(around):
    alone, within = kattn.profile(small()), kattn.profile(around(small()))
    assert alone.activation_bytes == 4 * 4 * 64 * 4  # four layers give maps of 8 x 8 x 4 in float32
    assert (within.macs, within.activation_bytes) == (alone.macs, alone.activation_bytes)
    assert [row[2] for row in within.by_layer] == [alone.macs]


def test_a_model_that_runs_for_each_time_step_counts_as_often():
    video = keras.Input((3, 8, 8, 3))
    cost = kattn.profile(keras.Model(video, layers.TimeDistributed(small())(video)))
    alone = kattn.profile(small())
    assert (cost.parameters, cost.macs, cost.attention_macs) == (133, 3 * alone.macs, 3 * alone.attention_macs)
    assert cost.activation_bytes == 3 * alone.activation_bytes + 3 * 4 * 64 * 4  # and their stack


# ---------------------------------------------------------------- calls and errors


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
    text = str(kattn.profile(small()))
    assert "parameters" in text and "attention layers" in text and "MiB" in text
