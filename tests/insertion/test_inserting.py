"""Attention goes into models that exist, with their weights, and changes nothing at first."""

import keras
import numpy as np
import pytest
from keras import layers
from support.models import largest_difference, pixels, randomise
from support.residual import added, resnet

import kattn
from kattn.layers import LAYERS

SIX = ("se", "cbam", "bam", "gc", "eca", "nl")
CONVOLUTIONS = {"sk", "splat"}  # their width is an argument
OTHER_SHAPE = {"abn", "ccnet_head", "danet", "encoding", "object_context_asp", "ran_next"}
SEVERAL_INPUTS = {"afi", "sanet", "sanet_multi", "stn_sampler"}
OWN_ARGUMENTS = {"psa", "stn"}
FEWER_BLOCKS = {"san": {"groups": 2, "blocks": 2}, "rcan": {"blocks": 2}}
KEEPS_SHAPE = sorted(LAYERS.keys() - CONVOLUTIONS - OTHER_SHAPE - SEVERAL_INPUTS - OWN_ARGUMENTS)


@pytest.fixture(scope="module")
def one_map():
    """A map of 16 channels, large enough for every block's windows."""
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(16, 3, padding="same", activation="relu", name="conv")(image)
    model = keras.Model(image, layers.GlobalAveragePooling2D(name="pool")(x), name="one_map")
    randomise(model)
    return model


# ---------------------------------------------------------------- an identity, until it is trained


@pytest.mark.parametrize("where", ["residual", "output", "between_stages"])
@pytest.mark.parametrize("mechanism", ["se", *(pytest.param(name, marks=pytest.mark.slow) for name in SIX[1:])])
def test_the_new_model_is_the_old_one_to_the_bit(model, images, mechanism, where):
    new = kattn.insert(model, mechanism, where)
    assert added(new, model)
    assert largest_difference(new(images, training=False), model(images, training=False)) == 0


@pytest.mark.parametrize("mechanism", KEEPS_SHAPE)
def test_every_block_that_keeps_the_shape_starts_as_an_identity(mechanism, one_map):
    x = pixels((2, 8, 8, 3)) / 255
    new = kattn.insert(one_map, mechanism, "conv", **FEWER_BLOCKS.get(mechanism, {}))
    assert largest_difference(new(x, training=False), one_map(x, training=False)) == 0


@pytest.mark.parametrize("mechanism", sorted(OTHER_SHAPE | SEVERAL_INPUTS))
def test_a_block_that_does_not_keep_the_shape_is_an_error(mechanism, one_map):
    options = {"classes": 5} if mechanism in ("abn", "ccnet_head", "danet") else {}
    with pytest.raises(ValueError, match="does not fit conv"):
        kattn.insert(one_map, mechanism, "conv", **options)


@pytest.mark.parametrize("mechanism", SIX)
def test_training_moves_the_block(model, images, mechanism):
    keras.utils.set_random_seed(1)
    new = kattn.insert(model, mechanism, "stage1_block1_out")
    fresh = added(new, model)
    before = {weight.path: keras.ops.convert_to_numpy(weight) for one in fresh for weight in one.trainable_weights}
    new.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", run_eagerly=True)
    for _ in range(3):
        new.train_on_batch(images, np.arange(4))
    after = {weight.path: keras.ops.convert_to_numpy(weight) for one in fresh for weight in one.trainable_weights}
    for one in fresh:
        paths = [weight.path for weight in one.trainable_weights]
        assert any(not np.array_equal(before[path], after[path]) for path in paths), one.name


def test_the_paper_start_is_the_layer_alone(model, images):
    new = kattn.insert(model, "se", start="paper", reduction=4)
    kinds = {type(layer).__name__ for layer in added(new, model)}
    assert kinds == {"SqueezeExcite"} and new.get_layer("stage1_block1_add_se").reduction == 4
    assert largest_difference(new(images), model(images)) > 0


def test_a_block_that_is_an_identity_at_its_start_gets_no_scale(model):
    """Scaled by zero as well, neither would ever get a gradient."""
    kinds = {type(layer).__name__ for layer in added(kattn.insert(model, "gc"), model)}
    assert kinds == {"GlobalContext"}


# ---------------------------------------------------------------- the model that comes out


def test_all_weights_are_kept_and_the_original_is_left_alone(images):
    model = resnet((8, 16), blocks=1)
    randomise(model)
    weights = [keras.ops.convert_to_numpy(weight) for weight in model.weights]
    want = model(images, training=False)
    new = kattn.insert(model, "cbam")
    for layer in model.layers:
        for old, copy in zip(layer.get_weights(), new.get_layer(layer.name).get_weights(), strict=True):
            np.testing.assert_array_equal(old, copy)
    new.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    new.train_on_batch(images, np.arange(4))
    for old, now in zip(weights, model.weights, strict=True):
        np.testing.assert_array_equal(old, keras.ops.convert_to_numpy(now))
    assert largest_difference(model(images, training=False), want) == 0
    assert model.get_layer("stage1_block1_add").output is model.get_layer("stage1_block1_out").input


def test_it_survives_saving(model, images, tmp_path):
    new = kattn.insert(model, "se")
    new.get_layer("stage1_block1_add_se_scale").scale.assign(0.5)
    new.save(tmp_path / "new.keras")
    loaded = keras.saving.load_model(tmp_path / "new.keras")
    assert largest_difference(loaded(images), new(images)) == 0
    assert largest_difference(new(images), model(images)) > 0


def test_it_is_profiled_and_explained_like_the_rest(model, images):
    new = kattn.insert(model, "cbam", "stage2_block1_out")
    assert kattn.profile(new).attention_parameters > 0
    maps = kattn.explain.attention(new, images)
    assert any(name.startswith("stage2_block1_out_cbam") for name in maps)


def test_it_exports(one_map, tmp_path):
    pytest.importorskip("tensorflow")
    new = kattn.insert(one_map, "se", "conv")
    new.get_layer("conv_se_scale").scale.assign(0.5)
    assert kattn.export.tflite(new, tmp_path / "new.tflite").max_abs_diff <= 1e-4
    assert kattn.export.onnx(new, tmp_path / "new.onnx").max_abs_diff <= 1e-4


def test_frozen_originals_train_only_what_is_new(model, images):
    new = kattn.insert(model, "bam", "between_stages", freeze_original=True)
    trained = {weight.path.split("/")[0] for weight in new.trainable_weights}
    assert trained == {layer.name for layer in added(new, model)}
    means = keras.ops.convert_to_numpy(new.get_layer("stem_bn").moving_mean)
    new.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    new.train_on_batch(images, np.arange(4))
    np.testing.assert_array_equal(means, keras.ops.convert_to_numpy(new.get_layer("stem_bn").moving_mean))


def test_what_is_new_in_a_frozen_model_is_trained():
    old = resnet((8, 16), blocks=1)
    old.trainable = False
    new = kattn.insert(old, "se")
    assert {weight.path.split("/")[0] for weight in new.trainable_weights} == {one.name for one in added(new, old)}


def test_it_keeps_names_dtypes_and_several_inputs_and_outputs():
    one, two = keras.Input((8, 8, 3), name="one"), keras.Input((8, 8, 3), name="two")
    shared = layers.Conv2D(4, 3, padding="same", name="shared", dtype="mixed_bfloat16")
    a, b = shared(one), shared(two)
    total = layers.Add(name="total")([a, b])
    outputs = {"sum": layers.GlobalMaxPooling2D(name="max")(total), "first": layers.Flatten(name="flat")(a)}
    old = keras.Model({"one": one, "two": two}, outputs, name="pair")
    new = kattn.insert(old, "eca", "shared", name="renamed")
    assert new.name == "renamed" and set(new.input) == {"one", "two"} and set(new.output) == {"sum", "first"}
    assert [layer.name for layer in new.layers].count("shared") == 1
    assert {layer.name for layer in added(new, old)} == {
        f"shared{call}_eca{scale}" for call in ("", "_2") for scale in ("", "_scale")
    }
    assert new.get_layer("shared_eca").compute_dtype == "bfloat16"
    x = {"one": pixels((2, 8, 8, 3)), "two": pixels((2, 8, 8, 3), 1)}
    assert largest_difference(new(x), old(x)) == 0


def test_an_open_size_stays_open(images):
    old = resnet((8, 16), blocks=1, size=(None, None))
    new = kattn.insert(old, "se", "between_stages")
    assert new.input.shape == (None, None, None, 3)
    assert largest_difference(new(images), old(images)) == 0


# ---------------------------------------------------------------- models within models


def test_models_within_the_model_are_opened(model, images):
    trunk = keras.Model(model.input, model.get_layer("stage2_block1_out").output, name="trunk")
    image = keras.Input((16, 16, 3), name="image")
    x = layers.GlobalMaxPooling2D(name="top")(trunk(image))
    old = keras.Model(image, layers.Dense(2, name="scores")(x), name="outer")
    new = kattn.insert(old, "se", "trunk/stage*_out")
    assert largest_difference(new(images), old(images)) == 0
    within = {layer.name for layer in new.get_layer("trunk").layers}
    assert {"trunk_stage1_block1_out_se", "trunk_stage2_block1_out_se"} <= within


@pytest.mark.parametrize("around", [lambda base: base, lambda base: keras.Sequential([base, layers.Dense(4)])])
def test_the_model_of_each_time_step_is_opened(model, around, tmp_path):
    video = keras.Input((3, 16, 16, 3), name="video")
    x = layers.TimeDistributed(around(model), name="frames")(video)
    old = keras.Model(video, layers.GlobalAveragePooling1D()(x), name="over_time")
    new = kattn.insert(old, "se", "residual")
    x = pixels((2, 3, 16, 16, 3)) / 255
    assert largest_difference(new(x), old(x)) == 0
    assert kattn.profile(new).attention_parameters > 0
    new.save(tmp_path / "new.keras")
    assert largest_difference(keras.saving.load_model(tmp_path / "new.keras")(x), new(x)) == 0


def test_a_sequential_model_is_a_graph_too():
    image = keras.Input((8, 8, 3), name="image")
    old = keras.Sequential([image, layers.Conv2D(4, 3, name="conv"), layers.Flatten(), layers.Dense(2)])
    new = kattn.insert(old, "se", "conv")
    assert [layer.name for layer in added(new, old)] == ["image", "conv_se", "conv_se_scale"]
    x = pixels((2, 8, 8, 3)) / 255
    assert largest_difference(new(x), old(x)) == 0


# ---------------------------------------------------------------- errors


class Subclassed(keras.Model):
    def call(self, x):
        return x


class Uncopyable(layers.Layer):
    def __init__(self, needed, **options):
        super().__init__(**options)

    def get_config(self):
        return {"name": self.name}

    def call(self, x):
        return x


def uncopyable():
    image = keras.Input((8, 8, 3))
    return keras.Model(image, layers.Conv2D(4, 3, name="conv")(Uncopyable(1, name="odd")(image)))


def unbuilt():
    return keras.Sequential([layers.Conv2D(4, 3)], name="open")


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (unbuilt, {}, "insert needs a functional .* Sequential 'open'. It is not built: start it with"),
        (Subclassed, {}, "insert needs a functional .* Subclassed '.*'. Wrap a subclassed model"),
        (resnet, {"start": "zero"}, "start must be one of 'identity', 'paper'. Received: start='zero'"),
        (uncopyable, {"where": "conv"}, r"layer 'odd' \(Uncopyable\) cannot be copied: its get_config and from_config"),
    ],
)
def test_models_that_cannot_be_read_or_copied_are_errors(make, options, message):
    with pytest.raises(ValueError, match=message):
        kattn.insert(make(), "se", **options)
