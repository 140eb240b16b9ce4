"""Where attention can go: what each word, name, glob and function means, told from the graph alone."""

import keras
import pytest
from keras import layers
from support.models import largest_difference, pixels
from support.residual import added, resnet

import kattn


@pytest.fixture(scope="module")
def deep():
    """Three stages of two blocks each."""
    return resnet()


def places(model, where, mechanism="se"):
    return kattn.insert(model, mechanism, where, dry_run=True)


def names(model, where):
    return [place.name for place in places(model, where)]


# ---------------------------------------------------------------- sites


def test_residual_is_the_branch_before_its_shortcut(deep):
    assert names(deep, "residual") == [f"stage{s}_block{b}_add" for s in (1, 2, 3) for b in (1, 2)]
    new = kattn.insert(deep, "se")
    for layer in added(new, deep):
        if isinstance(layer, kattn.layers.SqueezeExcite):
            source = layer.input._keras_history.operation.name
            assert source == layer.name.replace("add_se", "conv2_bn")


def test_output_is_behind_the_activation(deep):
    assert names(deep, "output") == [f"stage{s}_block{b}_out" for s in (1, 2, 3) for b in (1, 2)]
    assert str(places(deep, "output")[0]) == "after stage1_block1_out (16x16x8)"


def test_between_stages_is_the_last_map_of_a_resolution(deep):
    assert names(deep, "between_stages") == ["stage1_block2_out", "stage2_block2_out"]


def test_an_inverted_residual_keeps_its_expansion():
    mobile = keras.applications.MobileNetV2(input_shape=(32, 32, 3), weights=None, alpha=0.35, classes=5)
    assert names(mobile, "between_stages") == [
        *("expanded_conv_project_BN", "block_2_add", "block_5_add", "block_12_add")
    ]


def test_a_dense_block_and_an_operation_are_joints_too():
    x = image = keras.Input((8, 8, 4))
    for i in range(3):
        x = layers.Concatenate(name=f"join{i}")([x, layers.Conv2D(2, 3, padding="same", name=f"grow{i}")(x)])
    x = x + layers.Conv2D(10, 3, padding="same", name="last")(x)
    old = keras.Model(image, x)
    found = places(old, "residual")
    assert names(old, "residual")[:3] == ["join0", "join1", "join2"] and len(found) == 4
    assert [place.shape[-1] for place in found] == [2, 2, 2, 10]
    assert largest_difference(kattn.insert(old, "se")(pixels((2, 8, 8, 4))), old(pixels((2, 8, 8, 4)))) == 0


def test_a_network_without_such_a_place_says_what_it_has():
    x = image = keras.Input((32, 32, 3))
    for i in range(3):
        x = layers.MaxPooling2D()(layers.Conv2D(4, 3, padding="same", activation="relu", name=f"conv{i}")(x))
    plain = keras.Model(image, x, name="plain")
    with pytest.raises(ValueError, match=r"plain has no place 'residual'. It has: 'between_stages' \(3\); or name a"):
        places(plain, "residual")


# ---------------------------------------------------------------- frozen networks, and how they begin


def strided(*first):
    """Three convolutions that halve the map, behind some layers."""
    x = image = keras.Input((32, 32, 3))
    for layer in first:
        x = layer(x)
    for i in (1, 2, 3):
        x = layers.Conv2D(4 * i, 3, 2, "same", name=f"conv{i}")(x)
        x = layers.ReLU(name=f"relu{i}")(layers.BatchNormalization(name=f"bn{i}")(x))
    return keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))


BEGINNINGS = {
    "nothing": list,
    "batch normalisation": lambda: [layers.BatchNormalization()],
    "dropout": lambda: [layers.Dropout(0.1)],
    "activation": lambda: [layers.ReLU()],
    "slopes": lambda: [layers.PReLU(shared_axes=[1, 2])],
    "scaling": lambda: [layers.Rescaling(1 / 255), layers.BatchNormalization(), layers.Dropout(0.1)],
    "statistics": lambda: [layers.Normalization(mean=[0.0] * 3, variance=[1.0] * 3)],
    "augmentation": lambda: [layers.RandomFlip(), layers.BatchNormalization()],
}


@pytest.mark.parametrize("frozen", ["none", "all", "first", "some"])
@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_places_are_behind_features_however_a_network_begins_and_whatever_is_frozen(beginning, frozen):
    model = strided(*BEGINNINGS[beginning]())
    if frozen == "all":
        model.trainable = False
    for name in {"first": ["conv1"], "some": ["conv1", "conv2", "bn2"]}.get(frozen, []):
        model.get_layer(name).trainable = False
    assert names(model, "between_stages") == ["relu1", "relu2"]


def test_a_frozen_nested_model_has_the_places_that_it_had(deep):
    trunk = keras.Model(deep.input, deep.get_layer("stage3_block2_out").output, name="trunk")
    x = image = keras.Input((16, 16, 3))
    outer = keras.Model(image, layers.Conv2D(4, 3, 2, name="top")(trunk(layers.BatchNormalization()(x))))
    before = {where: names(outer, where) for where in ("residual", "output", "between_stages")}
    assert before["between_stages"] == ["trunk/stage1_block2_out", "trunk/stage2_block2_out", "trunk"]
    trunk.trainable = False
    try:
        assert {where: names(outer, where) for where in before} == before
    finally:
        trunk.trainable = True


# ---------------------------------------------------------------- names, globs, functions


def test_names_globs_functions_and_lists(deep):
    assert names(deep, "stage1_block1_out") == ["stage1_block1_out"]
    assert names(deep, "*_block1_out") == [f"stage{s}_block1_out" for s in (1, 2, 3)]
    assert names(deep, lambda layer: isinstance(layer, layers.ReLU) and "block2_out" in layer.name) == [
        f"stage{s}_block2_out" for s in (1, 2, 3)
    ]
    several = ["stem_relu", "*_block1_out", "stem_relu"]
    assert names(deep, several) == ["stem_relu", *names(deep, "*_block1_out")]


def nested(*, twice=False):
    """A network in a network in a network, with a layer of the same name at each level."""

    def level(inside, name):
        image = keras.Input((8, 8, 3))
        x = layers.Conv2D(3, 3, padding="same", name="conv")(image)
        for _ in range(2 if twice and inside is not None else 1):
            x = layers.ReLU(name=f"{name}_relu")(x) if inside is None else inside(x)
        return keras.Model(image, x, name=name)

    return level(level(level(None, "inner"), "middle"), "outer")


def test_a_layer_in_a_nested_model_goes_by_its_path_or_by_its_own_name_where_only_one_has_it():
    model = nested()
    assert names(model, "middle/inner/inner_relu") == names(model, "inner_relu") == ["middle/inner/inner_relu"]
    assert names(model, "conv") == ["conv"]  # the name of a layer at the top is that layer
    assert names(model, "*conv") == ["middle/inner/conv", "middle/conv", "conv"]
    inner = keras.Model(model.input, model.get_layer("middle")(model.input), name="plain")
    with pytest.raises(ValueError, match="'conv' is in several places: middle/inner/conv, middle/conv"):
        places(inner, "conv")


def test_a_model_that_is_called_again_is_opened_once():
    model = nested(twice=True)
    assert names(model, "*inner_relu") == ["middle/inner/inner_relu"]
    assert names(model, "middle") == ["middle", "middle#2"]
    assert len(kattn.insert(model, "se", "*inner_relu").get_layer("middle").get_layer("inner").layers) == 5


def test_a_layer_that_models_share_stays_one():
    shared = layers.Conv2D(3, 3, padding="same", name="shared")
    inside = keras.Input((8, 8, 3))
    inner = keras.Model(inside, layers.Add(name="add")([inside, shared(inside)]), name="inner")
    image = keras.Input((8, 8, 3))
    old = keras.Model(image, inner(shared(inner(image))), name="outer")
    new = kattn.insert(old, "eca", "residual", start="paper")
    assert new.count_params() == old.count_params() + new.get_layer("inner").layers[-2].count_params()
    assert new.get_layer("shared") is new.get_layer("inner").get_layer("shared")


def test_the_model_of_each_time_step_is_opened(deep):
    video = keras.Input((3, 16, 16, 3), name="video")
    model = keras.Model(video, layers.TimeDistributed(deep, name="frames")(video))
    assert names(model, "between_stages") == ["frames/stage1_block2_out", "frames/stage2_block2_out"]
    assert names(model, "stem_relu") == ["frames/stem_relu"]


class Hidden(keras.Model):
    """A model whose graph cannot be read."""

    def __init__(self, **options):
        super().__init__(**options)
        self.conv = layers.Conv2D(4, 3)

    def build(self, shape):
        self.conv.build(shape)

    def compute_output_shape(self, shape):
        return self.conv.compute_output_shape(shape)

    def call(self, x):
        return self.conv(x)


def test_a_model_that_cannot_be_opened_is_named():
    image, video = keras.Input((8, 8, 3)), keras.Input((2, 8, 8, 3))
    for model, closed in (
        (keras.Model(image, Hidden(name="hidden")(image)), r"hidden \(Hidden\)"),
        (keras.Model(video, layers.TimeDistributed(Hidden(), name="frames")(video)), r"frames \(TimeDistributed\)"),
    ):
        for where in ("residual", "conv", "*x*", lambda layer: False):
            with pytest.raises(ValueError, match=f"Not looked into, as the graph inside cannot be read: {closed}."):
                places(model, where)


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("stage1_block1_ad", "matches nothing in small; closest: stage1_block1_add"),
        ("nowhere_*", r"'nowhere_\*' matches nothing in small; closest"),
        (lambda layer: False, "no feature map behind a layer for which the function"),
        (3, "where must be one of 'residual', .* Received: where=3"),
        ([], r"where must be one of 'residual', .* Received: where=\[\]"),
        ("predictions", r"'predictions' gives \(None, 5\)"),
    ],
)
def test_what_means_no_place_is_an_error(deep, where, message):
    with pytest.raises((ValueError, TypeError), match=message):
        places(deep, where)
