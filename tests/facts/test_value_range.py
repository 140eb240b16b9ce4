"""The value range of a model's input: by arithmetic, by the zoo's layer, by its type, stated or remembered."""

import keras
import numpy as np
import pytest
from keras import ops

import kattn
from kattn.facts.of_model import describe_model, image_of, remember
from kattn.facts.stated import Stated, read_labels

L = keras.layers


def after(*layers, shape=(16, 16, 3), dtype="float32"):
    """A small model of a user's that begins so."""
    x = image = keras.Input(shape, dtype=dtype)
    for layer in layers:
        x = layer(x)
    return keras.Model(image, L.Dense(2, "softmax")(L.GlobalAveragePooling2D()(L.Conv2D(4, 3)(x))))


def adapted():
    layer = L.Normalization(axis=None)
    layer.adapt(np.linspace(0, 1.4, 100))
    return layer


AUGMENTED = [L.RandomFlip(), L.RandomRotation(0.1), L.RandomZoom(0.1)]
CAFFE = np.array([103.939, 116.779, 123.68], "float32")
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])

CASES = {
    "nothing": ([], None),
    "1/255": ([L.Rescaling(1 / 255)], (0, 255)),
    "1/127.5 - 1": ([L.Rescaling(1 / 127.5, -1)], (0, 255)),
    "2 - 1": ([L.Rescaling(2, -1)], (0, 1)),
    "x 255": ([L.Rescaling(255)], (0, 1)),
    "0.5 + 0.5": ([L.Rescaling(0.5, 0.5)], (-1, 1)),
    "127.5 + 127.5": ([L.Rescaling(127.5, 127.5)], (-1, 1)),
    "12 bits": ([L.Rescaling(1 / 4095)], None),
    "decibels": ([L.Rescaling(1 / 80, 1)], None),
    "no change": ([L.Rescaling(1.0)], None),
    "adapted": ([adapted()], None),
    "adapted, behind 1/255": ([L.Rescaling(1 / 255), adapted()], (0, 255)),
    "augmented": ([*AUGMENTED, L.Rescaling(1 / 255)], (0, 255)),
    "augmented in a model": (
        [keras.Sequential([keras.Input((16, 16, 3)), *AUGMENTED]), L.Rescaling(1 / 255)],
        (0, 255),
    ),
    "resized": ([L.Resizing(8, 8), L.CenterCrop(6, 6), L.Rescaling(1 / 255)], (0, 255)),
    "operations": ([lambda x: x / 127.5 - 1], (0, 255)),
    "operations, from behind": ([lambda x: 1 / 127.5 * x, lambda x: ops.subtract(x, 1.0)], (0, 255)),
    "centred first": ([lambda x: (x - 127.5) / 127.5], (0, 255)),
    "turned round": ([lambda x: 1 - x / 255], (0, 255)),
    "negative": ([lambda x: 1 - x], None),
    "a channel each": ([lambda x: x / ops.convert_to_tensor([255.0, 255.0, 255.0])], (0, 255)),
    "torch's means": ([L.Normalization(mean=255 * MEAN, variance=(255 * STD) ** 2)], (0, 255)),
    "torch's means of 0 to 1": ([L.Normalization(mean=MEAN, variance=STD**2)], (0, 1)),
    "Caffe's means": (
        [lambda x: x[..., ::-1], lambda x: x - np.array([103.939, 116.779, 123.68], "float32")],
        (0, 255),
    ),
    "behind a convolution": ([L.Conv2D(3, 1), L.Rescaling(1 / 255)], None),
    "zoo inside": ([kattn.zoo.resnet20(include_top=False, input_shape=(16, 16, 3))], (0, 255)),
    "zoo inside, of 0 to 1": (
        [L.Rescaling(255), kattn.zoo.resnet20(include_top=False, input_shape=(16, 16, 3))],
        (0, 1),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_first_layers_say_which_range(name):
    layers, expected = CASES[name]
    fact = image_of(after(*layers)).value_range
    assert fact.value == pytest.approx(expected) if expected else not fact.known
    assert fact.origin == ("" if expected is None else "zoo" if name == "zoo inside" else "measured")


def test_two_uses_of_the_image_say_nothing():
    image = keras.Input((16, 16, 3))
    both = L.Concatenate()([L.Rescaling(1 / 255)(image), image])
    assert not image_of(keras.Model(image, L.Flatten()(both))).value_range.known


@pytest.mark.parametrize(("dtype", "expected"), [("uint8", (0, 255)), ("int32", None), ("float16", None)])
def test_bytes_are_pixels(dtype, expected):
    fact = image_of(after(lambda x: ops.cast(x, "float32"), dtype=dtype)).value_range
    assert fact.value == expected


@pytest.mark.parametrize("weights", [None, "cifar10"])
def test_the_zoo_takes_pixels(weights):
    fact = image_of(kattn.zoo.resnet20(weights=weights)).value_range
    assert (fact.value, fact.origin) == ((0, 255), "zoo")
    assert not image_of(kattn.zoo.resnet20(include_preprocessing=False)).value_range.known


def test_the_zoos_range_survives_a_file_and_a_new_head(tmp_path):
    body = kattn.zoo.resnet20(include_top=False, pooling="avg")
    keras.Model(body.inputs, L.Dense(3, "softmax")(body.output)).save(tmp_path / "m.keras")
    fact = image_of(keras.saving.load_model(tmp_path / "m.keras")).value_range
    assert (fact.value, fact.origin) == ((0, 255), "zoo")


def test_what_is_stated_goes_before_what_is_remembered_and_that_before_the_graph():
    model = after(L.Rescaling(1 / 255))
    assert image_of(model).value_range.origin == "measured"
    remember(model, Stated(value_range=(0, 1), resize="pad"), "run")
    assert image_of(model).value_range.value == (0, 1) and image_of(model).value_range.origin == "run"
    found = describe_model(model, Stated(preprocess=np.negative)).input
    assert found.preprocess.origin == "stated" and not found.value_range.known
    assert (found.resize.value, found.resize.origin) == ("pad", "run")
    assert found.interpolation.origin == "default"


def test_labels_come_from_a_list_or_a_file_and_fit_an_output(tmp_path):
    (tmp_path / "labels.txt").write_text("\ufeffa cat\n  dog \n\n", encoding="utf-8")
    assert read_labels(tmp_path / "labels.txt") == ("a cat", "dog")
    output = describe_model(after(), Stated(labels=["a", "b"])).output
    assert (output.labels.value, output.labels.origin) == (("a", "b"), "stated")
    with pytest.raises(ValueError, match="3 labels fit none of the outputs"):
        describe_model(after(), Stated(labels=["a", "b", "c"]))


def test_labels_make_scores_classes():
    model = keras.Sequential([keras.Input((4, 4, 3)), L.Flatten(), L.Dense(3)])
    assert describe_model(model).output.kind.value == "values"
    output = (
        describe_model(model, Stated(labels="abc")).output
        if False
        else describe_model(model, Stated(labels=list("abc"))).output
    )
    assert (output.kind.value, output.activated) == ("classes", False)


@pytest.mark.parametrize("wrong", [(1, 0), (0, 0), 3, ("a", "b"), (0, 1, 2), (0, float("nan"))])
def test_a_range_that_is_none(wrong):
    with pytest.raises(ValueError, match="value_range is two numbers"):
        Stated(value_range=wrong)


def test_what_contradicts_itself_or_does_not_exist():
    with pytest.raises(ValueError, match="give one of them"):
        Stated(value_range=(0, 1), preprocess=np.negative)
    with pytest.raises(ValueError, match="stretch"):
        Stated(resize="strech")
    with pytest.raises(ValueError, match=r"labels .*nothing\.txt cannot be read"):
        Stated(labels="nothing.txt")


def test_labels_and_resizing_travel_with_weights(tmp_path):
    published = describe_model(kattn.zoo.resnet20(weights="cifar10")).output.labels
    assert published.value[:2] == ("airplane", "automobile") and published.origin == "weights"
    model = kattn.zoo.resnet20(classes=3, input_shape=(16, 16, 3), depths=(1, 1, 1))
    remember(model, Stated(labels=["a", "b", "c"], resize="pad"), "run")
    kattn.zoo.save_weights(model, tmp_path / "m.weights.h5")
    again = describe_model(
        kattn.zoo.resnet20(weights=tmp_path / "m.weights.h5", classes=3, input_shape=(16, 16, 3), depths=(1, 1, 1))
    )
    assert (again.output.labels.value, again.input.resize.value) == (("a", "b", "c"), "pad")
    other = kattn.zoo.resnet20(weights=tmp_path / "m.weights.h5", classes=4, input_shape=(16, 16, 3), depths=(1, 1, 1))
    assert not describe_model(other).output.labels.known  # another head


def test_every_list_of_labels_has_the_classes_of_its_weights():
    from kattn.zoo.weights.manifest import entries

    found = [entry for tags in entries().values() for entry in tags.values()]
    assert all(len(set(entry.labels)) >= entry.classes - 2 for entry in found if entry.classes in (10, 100, 1000))
