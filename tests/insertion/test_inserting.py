"""Attention goes into models that exist: at the right places, with their weights, and changing nothing at first."""

import keras
import numpy as np
import pytest
from keras import layers
from support.models import largest_difference, pixels, randomise

import kattn
from kattn.layers import LAYERS

SIX = ("se", "cbam", "bam", "gc", "eca", "nl")
CONVOLUTIONS = {"sk", "splat"}  # their width is an argument
OTHER_SHAPE = {"abn", "ccnet_head", "danet", "encoding", "object_context_asp", "ran_next"}
SEVERAL_INPUTS = {"afi", "sanet", "sanet_multi", "stn_sampler"}
OWN_ARGUMENTS = {"psa", "stn"}


def conv_bn(x, filters, name, strides=1, size=3, activation=True):
    x = layers.Conv2D(filters, size, strides, "same", use_bias=False, name=name)(x)
    x = layers.BatchNormalization(name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x) if activation else x


def block(x, filters, name, strides=1):
    y = conv_bn(x, filters, f"{name}_conv1", strides)
    y = conv_bn(y, filters, f"{name}_conv2", activation=False)
    if strides > 1 or x.shape[-1] != filters:
        x = conv_bn(x, filters, f"{name}_shortcut", strides, 1, activation=False)
    return layers.ReLU(name=f"{name}_out")(layers.Add(name=f"{name}_add")([x, y]))


def resnet(size=(16, 16), name="small"):
    x = image = keras.Input((*size, 3), name="image")
    x = conv_bn(x, 8, "stem")
    for stage, filters in enumerate((8, 16, 32)):
        for number in (1, 2):
            x = block(x, filters, f"stage{stage + 1}_block{number}", 2 if stage and number == 1 else 1)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(image, layers.Dense(5, "softmax", name="predictions")(x), name=name)


@pytest.fixture
def model():
    model = resnet()
    randomise(model)
    return model


@pytest.fixture
def images():
    return pixels((4, 16, 16, 3)) / 255


def names(places):
    return [place.name for place in places]


def added(new, old):
    return [layer for layer in new.layers if layer.name not in {layer.name for layer in old.layers}]


# ---------------------------------------------------------------- an identity, until it is trained


@pytest.mark.parametrize("mechanism", SIX)
@pytest.mark.parametrize("where", ["residual", "output", "between_stages"])
def test_the_new_model_is_the_old_one_to_the_bit(model, images, mechanism, where):
    new = kattn.insert(model, mechanism, where)
    assert added(new, model)
    assert largest_difference(new(images, training=False), model(images, training=False)) == 0


def test_an_adapted_normalisation_keeps_its_statistics(images):
    normalise = layers.Normalization()
    normalise.adapt(3 * images + 1)
    image = keras.Input((16, 16, 3))
    model = keras.Model(image, layers.Conv2D(4, 3, name="conv")(normalise(image)))
    new = kattn.insert(model, "se", "conv")
    assert largest_difference(new(images), model(images)) == 0


@pytest.mark.parametrize(
    "mechanism", sorted(LAYERS.keys() - CONVOLUTIONS - OTHER_SHAPE - SEVERAL_INPUTS - OWN_ARGUMENTS)
)
def test_every_block_that_keeps_the_shape_starts_as_an_identity(mechanism, model, images):
    new = kattn.insert(model, mechanism, "stage2_block2_out")
    assert largest_difference(new(images, training=False), model(images, training=False)) == 0


@pytest.mark.parametrize("mechanism", sorted(OTHER_SHAPE | SEVERAL_INPUTS))
def test_a_block_that_does_not_keep_the_shape_is_an_error(mechanism, model):
    options = {"classes": 5} if mechanism in ("abn", "ccnet_head", "danet") else {}
    with pytest.raises(ValueError, match="does not fit stage2_block2_out"):
        kattn.insert(model, mechanism, "stage2_block2_out", **options)


@pytest.mark.parametrize("mechanism", SIX)
def test_training_moves_the_block(model, images, mechanism):
    keras.utils.set_random_seed(1)
    new = kattn.insert(model, mechanism)
    fresh = added(new, model)
    before = {weight.path: keras.ops.convert_to_numpy(weight) for one in fresh for weight in one.trainable_weights}
    new.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
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


def test_all_weights_are_kept_and_the_original_is_left_alone(model, images):
    weights = [keras.ops.convert_to_numpy(weight) for weight in model.weights]
    want = model(images, training=False)
    new = kattn.insert(model, "cbam")
    for layer in model.layers:
        for old, copy in zip(layer.get_weights(), new.get_layer(layer.name).get_weights(), strict=True):
            np.testing.assert_array_equal(old, copy)
    new.compile("sgd", "sparse_categorical_crossentropy")
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
    new = kattn.insert(model, "cbam", "stage3_block2_out")
    assert kattn.profile(new).attention_parameters > 0
    maps = kattn.explain.attention(new, images)
    assert any(name.startswith("stage3_block2_out_cbam") for name in maps)


def test_it_exports(model, images, tmp_path):
    pytest.importorskip("tensorflow")
    new = kattn.insert(model, "se")
    new.get_layer("stage1_block1_add_se_scale").scale.assign(0.5)
    assert kattn.export.tflite(new, tmp_path / "new.tflite").max_abs_diff <= 1e-4
    assert kattn.export.onnx(new, tmp_path / "new.onnx").max_abs_diff <= 1e-4


def test_frozen_originals_train_only_what_is_new(model, images):
    new = kattn.insert(model, "bam", "between_stages", freeze_original=True)
    trained = {weight.path.split("/")[0] for weight in new.trainable_weights}
    assert trained == {layer.name for layer in added(new, model)}
    means = keras.ops.convert_to_numpy(new.get_layer("stem_bn").moving_mean)
    new.compile("sgd", "sparse_categorical_crossentropy")
    new.train_on_batch(images, np.arange(4))
    np.testing.assert_array_equal(means, keras.ops.convert_to_numpy(new.get_layer("stem_bn").moving_mean))


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


def test_models_within_the_model_are_opened(images):
    inner = resnet(name="backbone")
    trunk = keras.Model(inner.input, inner.get_layer("stage3_block2_out").output, name="trunk")
    image = keras.Input((16, 16, 3), name="image")
    x = layers.GlobalMaxPooling2D(name="top")(trunk(image))
    old = keras.Model(image, layers.Dense(2, name="scores")(x), name="outer")
    assert names(kattn.insert(old, "se", "residual", dry_run=True))[0] == "trunk/stage1_block1_add"
    new = kattn.insert(old, "se", "trunk/stage3_*_out")
    assert largest_difference(new(images), old(images)) == 0
    within = {layer.name for layer in new.get_layer("trunk").layers}
    assert {"trunk_stage3_block1_out_se", "trunk_stage3_block2_out_se"} <= within


def test_an_open_size_stays_open(images):
    old = resnet((None, None))
    new = kattn.insert(old, "se", "between_stages")
    assert new.input.shape == (None, None, None, 3)
    assert largest_difference(new(images), old(images)) == 0


def test_a_layer_class_or_a_function_is_a_mechanism_too(model, images):
    assert added(kattn.insert(model, kattn.layers.CBAM, "stem", reduction=2), model)[0].reduction == 2
    new = kattn.insert(model, lambda **common: keras.layers.SpatialDropout2D(0.5, **common), "stem_relu")
    assert largest_difference(new(images), model(images)) == 0


# ---------------------------------------------------------------- places


def test_residual_is_the_branch_before_its_shortcut(model):
    places = kattn.insert(model, "se", dry_run=True)
    assert names(places) == [f"stage{s}_block{b}_add" for s in (1, 2, 3) for b in (1, 2)]
    new = kattn.insert(model, "se")
    for layer in added(new, model):
        if isinstance(layer, kattn.layers.SqueezeExcite):
            source = layer.input._keras_history.operation.name
            assert source == layer.name.replace("add_se", "conv2_bn")


def test_output_is_behind_the_activation(model):
    places = kattn.insert(model, "se", "output", dry_run=True)
    assert names(places) == [f"stage{s}_block{b}_out" for s in (1, 2, 3) for b in (1, 2)]
    assert str(places[0]) == "after stage1_block1_out (16x16x8)"


def test_between_stages_is_the_last_map_of_a_resolution(model):
    assert names(kattn.insert(model, "bam", "between_stages", dry_run=True)) == [
        "stage1_block2_out",
        "stage2_block2_out",
    ]


def test_an_inverted_residual_keeps_its_expansion(images):
    mobile = keras.applications.MobileNetV2(input_shape=(32, 32, 3), weights=None, alpha=0.35, classes=5)
    places = names(kattn.insert(mobile, "bam", "between_stages", dry_run=True))
    assert places == ["expanded_conv_project_BN", "block_2_add", "block_5_add", "block_12_add"]


def test_a_dense_block_and_an_operation_are_joints_too():
    x = image = keras.Input((8, 8, 4))
    for i in range(3):
        x = layers.Concatenate(name=f"join{i}")([x, layers.Conv2D(2, 3, padding="same", name=f"grow{i}")(x)])
    x = x + layers.Conv2D(10, 3, padding="same", name="last")(x)
    old = keras.Model(image, x)
    places = kattn.insert(old, "se", dry_run=True)
    assert names(places)[:3] == ["join0", "join1", "join2"] and len(places) == 4
    assert [place.shape[-1] for place in places] == [2, 2, 2, 10]
    assert largest_difference(kattn.insert(old, "se")(pixels((2, 8, 8, 4))), old(pixels((2, 8, 8, 4)))) == 0


def test_names_globs_functions_and_lists(model):
    def places(where):
        return names(kattn.insert(model, "se", where, dry_run=True))

    assert places("stage1_block1_out") == ["stage1_block1_out"]
    assert places("*_block1_out") == [f"stage{s}_block1_out" for s in (1, 2, 3)]
    assert places(lambda layer: isinstance(layer, layers.ReLU) and "block2_out" in layer.name) == [
        f"stage{s}_block2_out" for s in (1, 2, 3)
    ]
    assert places(["stem_relu", "*_block1_out", "stem_relu"]) == ["stem_relu", *places("*_block1_out")]


# ---------------------------------------------------------------- bad input


def unbuilt():
    return keras.Sequential([layers.Conv2D(4, 3)], name="open")


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


@pytest.mark.parametrize(
    ("make", "mechanism", "where", "options", "message"),
    [
        (unbuilt, "se", "residual", {}, "insert needs a functional .* Sequential 'open'. It is not built: start it"),
        (Subclassed, "se", "residual", {}, "insert needs a functional .* Subclassed '.*'. Wrap a subclassed model"),
        (resnet, "se", "stage1_block1_ad", {}, "matches nothing in small; closest: stage1_block1_add"),
        (resnet, "se", "nowhere_*", {}, "'nowhere_\\*' matches nothing in small; closest"),
        (resnet, "se", lambda layer: False, {}, "no feature map behind a layer for which the function"),
        (resnet, "se", 3, {}, "where must be one of 'residual', .* Received: where=3"),
        (resnet, "se", [], {}, "where must be one of 'residual', .* Received: where=\\[\\]"),
        (resnet, "se", "predictions", {}, "'predictions' gives \\(None, 5\\)"),
        (resnet, "sse", "residual", {}, "Unknown layer 'sse'. Closest: se"),
        (resnet, "se", "residual", {"ratio": 3}, "ratio"),
        (
            resnet,
            "se",
            "residual",
            {"start": "zero"},
            "start must be one of 'identity', 'paper'. Received: start='zero'",
        ),
        (resnet, 3, "residual", {}, "mechanism must be a short name .* Received: mechanism=3"),
        (resnet, "ge", "stage3_block2_out", {"extent": 3}, "extent must be 0 .* Received: extent=3"),
        (uncopyable, "se", "conv", {}, "layer 'odd' \\(Uncopyable\\) cannot be copied: its get_config and from_config"),
    ],
)
def test_bad_input(make, mechanism, where, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        kattn.insert(make(), mechanism, where, **options)


def test_a_network_without_such_a_place_says_what_it_has():
    vgg = keras.applications.VGG16(weights=None, input_shape=(32, 32, 3), include_top=False)
    with pytest.raises(ValueError, match=r"vgg16 has no place 'residual'. It has: 'between_stages' \(5\)"):
        kattn.insert(vgg, "se")
