"""Images with several attributes, and classes of two levels: loaded, trained on, evaluated."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image
from support.training import tiny_model

from kattn.data.augment import Mix
from kattn.data.batches import Batches
from kattn.data.dataset import Split
from kattn.data.errors import DataError
from kattn.data.loading import load
from kattn.evaluation.evaluation import AttributeEvaluation, from_dict, measure, measure_attributes
from kattn.training.recipes import Recipe, load_recipe
from kattn.training.run import open_run, train


def attributes(count=60, seed=0):
    """Images whose top and bottom halves are bright or dark, each for itself; third attribute: both are bright."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, (count, 2))
    images = rng.integers(0, 60, (count, 8, 8, 3))
    images[:, :4] += 150 * labels[:, 0, None, None, None]
    images[:, 4:] += 150 * labels[:, 1, None, None, None]
    return images.astype("uint8"), np.column_stack([labels, labels.all(axis=1)])


def test_rows_of_zeros_and_ones_are_attributes():
    data = load(attributes())
    assert data.multi_label
    assert data.train.labels.dtype == np.uint8
    assert data.class_names == ("0", "1", "2")
    assert [len(part) for part in data.parts()] == [43, 5, 12]
    assert len(load(attributes(), limit=4).train) == 4


def test_boolean_rows_too():
    images, labels = attributes()
    assert np.array_equal(load((images, labels.astype(bool)), validation=0).test.labels.shape, (12, 3))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.eye(3, dtype=int)[np.arange(60) % 3], "one-hot rows. Pass class numbers"),
        (np.full((60, 3), 2), "rows of 0 and 1"),
        (np.full((60, 3), 0.5), "rows of 0 and 1"),
    ],
)
def test_other_tables_are_an_error(labels, message):
    with pytest.raises(DataError, match=message):
        load((attributes()[0], labels))


def test_a_model_of_another_number_of_outputs_is_an_error():
    with pytest.raises(DataError, match="3 attributes an image, the model has 5 outputs"):
        load(attributes(), classes=5)


def test_batches_smooth_each_attribute_towards_one_half_and_mix():
    images, labels = attributes(16)
    data = Batches(Split(images, labels.astype("uint8")), 16, training=True, smoothing=0.2, mix=Mix(mixup=1.0))
    _, targets = data[0]
    assert targets.dtype == np.float32
    assert targets.min() >= np.float32(0.1)
    assert targets.max() <= np.float32(0.9)
    plain = Batches(Split(images, labels.astype("uint8")), 16)
    assert np.array_equal(plain[0][1], labels)


def test_a_run_on_attributes_learns_them_and_opens_again(tmp_path):
    keras.utils.set_random_seed(0)
    model = tiny_model(classes=3, dropout=0.0)
    model = keras.Model(model.input, keras.layers.Dense(3, "sigmoid")(model.layers[-2].output), name="tiny")
    recipe = {"epochs": 12, "batch_size": 8, "learning_rate": 0.1, "label_smoothing": 0.02}
    run = train(model, data=attributes(120), recipe=recipe, out=tmp_path / "run", verbose=False)
    assert isinstance(run.evaluation, AttributeEvaluation)
    assert run.evaluation.accuracy > 0.8
    assert run.evaluation.attributes == 3
    assert "3 attributes, accuracy" in str(run.evaluation)
    assert open_run(run.path).evaluation == run.evaluation
    assert run.history[-1]["loss"] < run.history[0]["loss"]


def test_an_attention_branch_network_gets_one_probability_an_attribute(tmp_path):
    recipe = Recipe(**{**load_recipe("quick").as_dict(), "epochs": 1, "batch_size": 8, "warmup_epochs": 0.0})
    run = train("abn_resnet20", data=attributes(24), recipe=recipe, out=tmp_path / "run", limit=8, verbose=False)
    answers = run.model.predict(attributes(2)[0], verbose=0)
    assert {name: answer.shape for name, answer in answers.items()} == {
        "predictions": (2, 3),
        "attention_predictions": (2, 3),
    }
    assert np.abs(answers["predictions"].sum(axis=1) - 1).max() > 1e-3


def test_the_numbers_of_attributes():
    labels = np.array([[1, 0, 1], [0, 0, 1], [1, 1, 1]])
    outputs = np.array([[0.9, 0.2, 0.6], [0.6, 0.4, 0.7], [0.8, 0.3, 0.2]])
    found = measure_attributes(outputs, labels, ["a", "b", "c"])
    assert found.accuracy == pytest.approx(6 / 9)
    assert found.per_attribute == pytest.approx({"a": 2 / 3, "b": 2 / 3, "c": 2 / 3})
    assert found.average_precision == pytest.approx((1.0 + 1 / 2) / 2)  # of the third nothing can be told
    assert found.loss == pytest.approx(-np.log([0.9, 0.8, 0.6, 0.4, 0.6, 0.7, 0.8, 0.3, 0.2]).mean())
    assert from_dict(json.loads(json.dumps(found.to_dict()))) == found
    logits = np.log(outputs / (1 - outputs))
    assert measure_attributes(logits, labels).loss == pytest.approx(found.loss)


def test_values_that_are_not_finite_are_an_error():
    with pytest.raises(ValueError, match="not finite"):
        measure_attributes(np.full((2, 3), np.nan), np.zeros((2, 3)))


NAMES = ["audi/a4", "audi/tt", "bmw/x5"]


def test_classes_of_two_levels_are_told_apart_at_the_first_one_too():
    probabilities = np.array([[0.3, 0.3, 0.4], [0.6, 0.3, 0.1], [0.1, 0.2, 0.7]])
    found = measure(probabilities, np.array([0, 1, 2]), NAMES)
    assert found.top1 == pytest.approx(1 / 3)
    assert found.first_level == pytest.approx(1.0)
    assert "first level 100.00%" in str(found)
    assert measure(probabilities, np.array([0, 1, 2]), ["a", "b", "c"]).first_level is None


def test_folders_of_two_levels_give_such_names(tmp_path):
    for name in NAMES:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        for i in range(3):
            Image.fromarray(np.full((8, 8, 3), 40 * i, "uint8")).save(folder / f"{i}.png")
    data = load(tmp_path, validation=0)
    assert data.class_names == tuple(NAMES)
    assert sum(len(part) for part in data.parts()) == 9


@pytest.mark.slow
def test_attributes_written_by_tensorflow_datasets_are_read(tmp_path):
    script = """
import sys, numpy as np, tensorflow as tf, tensorflow_datasets as tfds
from kattn.data import load
root = sys.argv[1]
rng = np.random.default_rng(0)
names = ["Young", "Bald", "5_o_Clock_Shadow"]
rows = [{"image": rng.integers(0, 256, (8, 8, 3), dtype="uint8"),
         "attributes": {name: bool(rng.integers(2)) for name in names}} for _ in range(30)]
tfds.dataset_builders.store_as_tfds_dataset(
    name="faces", version="1.0.0", data_dir=root, split_datasets={"train": list(enumerate(rows))},
    features=tfds.features.FeaturesDict(
        {"image": tfds.features.Image(shape=(8, 8, 3)), "attributes": {name: np.bool_ for name in names}}))
data = load("faces", data_dir=root, validation=0)
assert data.class_names == ("5_o_Clock_Shadow", "Bald", "Young"), data.class_names
theirs = list(tfds.load("faces", split="train", data_dir=root).as_numpy_iterator())
mine = {image.tobytes(): row for part in data.parts() for image, row in zip(part.images, part.labels)}
assert len(mine) == 30
for each in theirs:
    assert mine[each["image"].tobytes()].tolist() == [int(each["attributes"][name]) for name in data.class_names]
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
