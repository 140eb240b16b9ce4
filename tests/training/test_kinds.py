"""Every kind of output is trained by what it is, and classes count what they are said to."""

import json

import keras
import numpy as np
import pytest
from support.output_kinds import body, model_of, painted, targets
from support.training import EAGER, arrays, tiny_model, two_output_model

from kattn.data.batches import Batches, Mix
from kattn.data.dataset import Split
from kattn.data.errors import DataError
from kattn.data.loading import load
from kattn.evaluation.evaluation import evaluate
from kattn.training.kinds import MASK, TRAINED, PixelAccuracy, class_weights, recipe_for, trained_as
from kattn.training.recipes import Recipe
from kattn.training.run import open_run, train

RECIPE = {"epochs": 2, "batch_size": 16, "learning_rate": 0.05, "schedule": "constant"}
IMAGES = painted(60)
LABELS = targets(IMAGES) | {"binary": (targets(IMAGES)["classes"] > 0).astype("int32")}


@pytest.fixture(autouse=True)
def eager(monkeypatch):
    monkeypatch.setattr(keras.Model, "run_eagerly", EAGER)


@pytest.mark.parametrize(
    ("kind", "column"),
    [("binary", "accuracy"), ("attributes", "accuracy"), ("values", "mae"), ("map", "accuracy")],
)
def test_a_model_of_each_kind_is_trained_evaluated_and_read_back(kind, column, tmp_path):
    recipe = {**RECIPE, "epochs": 3, "optimizer": "adamw", "learning_rate": 0.02}
    done = train(model_of(kind), data=(IMAGES, LABELS[kind]), recipe=recipe, out=tmp_path / "run", verbose=False)
    assert {"loss", "val_loss", column, f"val_{column}"} <= set(done.history[0])
    assert done.history[-1]["loss"] < done.history[0]["loss"]
    again = open_run(tmp_path / "run")
    assert again.evaluation == done.evaluation and type(again.evaluation) is type(done.evaluation)
    found = evaluate(tmp_path / "run", (IMAGES, LABELS[kind]))
    assert found.to_dict() == {**done.evaluation.to_dict(), "model": str(tmp_path / "run")}
    assert json.loads((tmp_path / "run" / "config.json").read_text())["class_weight"] is None


def test_the_best_epoch_of_a_regression_has_the_lowest_error(tmp_path):
    recipe = {**RECIPE, "epochs": 3, "learning_rate": 0.3, "select": "best"}
    done = train(model_of("values"), data=(IMAGES, LABELS["values"]), recipe=recipe, out=tmp_path, verbose=False)
    errors = [row["val_mae"] for row in done.history]
    best = evaluate(tmp_path, (IMAGES, LABELS["values"]), split="validation", weights="best")
    assert best.mae == pytest.approx(min(errors), rel=1e-4)


@pytest.mark.slow
def test_a_zoo_network_of_one_unit_and_one_of_numbers(tmp_path):
    small = {"depths": (1, 1, 1), "widths": (4, 4, 8)}
    recipe = {**RECIPE, "epochs": 1}
    done = train(
        "abn_resnet20",
        data=(IMAGES, LABELS["binary"]),
        options={**small, "classes": 1, "classifier_activation": "sigmoid"},
        recipe=recipe,
        class_weight="balanced",
        out=tmp_path / "one",
        verbose=False,
    )
    assert done.evaluation.roc_auc is not None and done.model.output["predictions"].shape == (None, 1)
    assert set(done.config["class_weight"]) == {"0", "1"}
    numbers = {**small, "classifier_activation": None}
    data = (IMAGES, LABELS["values"])
    done = train("resnet20", data=data, options=numbers, recipe=recipe, out=tmp_path / "numbers", verbose=False)
    assert done.evaluation.values == 2


def test_one_class_with_a_softmax_is_refused_with_the_way_out(tmp_path):
    from kattn.zoo import create

    for call in (
        lambda: create("resnet20", classes=1),
        lambda: train("resnet20", data=arrays(20, classes=2), options={"classes": 1}, out=tmp_path / "r"),
    ):
        with pytest.raises(ValueError, match='classifier_activation="sigmoid"'):
            call()
    assert create("resnet20", classes=1, include_top=False) and not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("model", "data", "options", "error", "said"),
    [
        (lambda: model_of("binary"), (IMAGES, LABELS["classes"]), {}, DataError, "labels are 0 to 1"),
        (lambda: model_of("attributes"), (IMAGES, LABELS["classes"]), {}, DataError, "rows of 0 and 1"),
        (lambda: model_of("values"), (IMAGES, np.zeros((60, 3)) + 0.5), {}, DataError, "3 values an image"),
        (lambda: model_of("map"), (IMAGES, LABELS["classes"]), {}, DataError, "one integer a pixel"),
        (lambda: model_of("classes", "values"), (IMAGES, LABELS["classes"]), {}, ValueError, "several kinds: classes"),
        (
            lambda: model_of("attributes"),
            (IMAGES, LABELS["attributes"]),
            {"class_weight": "balanced"},
            DataError,
            "class_weight goes with classes",
        ),
        (
            lambda: model_of("classes"),
            (IMAGES, LABELS["classes"]),
            {"class_weight": {"3": 2.0}},
            ValueError,
            "class '3'",
        ),
        (
            lambda: model_of("classes"),
            (IMAGES, LABELS["classes"]),
            {"class_weight": {0: -1}},
            ValueError,
            "at least 0",
        ),
        (lambda: model_of("classes"), (IMAGES, LABELS["classes"]), {"class_weight": [1, 2]}, ValueError, "balanced"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(model, data, options, error, said, tmp_path):
    with pytest.raises(error, match=said):
        train(model(), data=data, recipe=RECIPE, out=tmp_path / "r", verbose=False, **options)
    assert not (tmp_path / "r").exists()


def test_what_would_need_other_targets_is_left_out_and_named(caplog):
    recipe = Recipe(epochs=1, batch_size=8, label_smoothing=0.1, mixup=0.2, flip=True, erase=0.5)
    for kind in ("values", "map"):
        found = recipe_for(TRAINED[kind], recipe)
        assert (found.label_smoothing, found.mixup, found.flip, found.erase) == (0, 0, False, 0.5)
        assert f"flip, label_smoothing, mixup of the recipe left out: targets of the kind '{kind}'" in caplog.text
    assert recipe_for(TRAINED["binary"], recipe) == recipe


def test_an_embedding_is_not_trained():
    import kattn.layers  # noqa: F401

    image, x = body()
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(x))
    with pytest.raises(ValueError, match="embedding"):
        trained_as(model, load((IMAGES, LABELS["classes"])))


# Pixels without a label.


def test_pixels_without_a_label_count_nowhere():
    labels = np.array([[[0, 1], [255, 2]]])
    scores = np.eye(3)[np.array([[[0, 1], [0, 0]]])].astype("float32")
    metric = PixelAccuracy()
    metric.update_state(labels, scores)
    assert float(metric.result()) == pytest.approx(2 / 3)
    loss = TRAINED["map"].loss()
    moved = np.where(labels[..., None] == 255, 1 - scores, scores).astype("float32")
    assert float(loss(labels, scores)) == pytest.approx(float(loss(labels, moved)))


def test_a_mask_of_one_channel_is_trained_as_yes_and_no(tmp_path):
    image, x = body()
    model = keras.Model(image, keras.layers.Conv2D(1, 1, activation="sigmoid")(x), name="mask")
    labels = (LABELS["map"] == 1).astype(int)
    data = load((IMAGES, labels), targets="map")
    assert trained_as(model, data) is MASK
    done = train(model, data=(IMAGES, labels), recipe=RECIPE, out=tmp_path / "r", verbose=False)
    assert done.evaluation.classes == 2


# What a class counts.


def test_balanced_classes_count_the_same_in_sum():
    images, labels = arrays(60, classes=3)
    data = load((images, np.where(labels == 2, 0, labels)), classes=3, validation=0.0)
    counts = np.bincount(data.train.labels, minlength=3)
    weights = class_weights("balanced", data)
    assert weights["0"] * counts[0] == pytest.approx(weights["1"] * counts[1]) and weights["2"] == 1
    assert class_weights({"1": 3, 0: 2}, data) == {"0": 2.0, "1": 3.0, "2": 1.0}
    assert class_weights(None, data) is None


@pytest.mark.parametrize("options", [{}, {"classes": 3}, {"classes": 3, "smoothing": 0.1}])
def test_batches_hold_what_each_image_counts(options):
    images, labels = arrays(12, classes=3)
    weights = np.array([1, 2, 4], "float32")
    batches = Batches(Split(images, labels), 6, training=True, weights=weights, **options)
    _, given, counts = batches[0]
    order = batches.order()[:6]
    np.testing.assert_array_equal(counts, weights[labels[order]])
    assert len(given) == 6


def test_what_an_image_counts_is_mixed_as_its_target_is():
    images, labels = arrays(8, classes=2)
    weights = np.array([1, 5], "float32")
    _, rows, counts = Batches(Split(images, labels), 8, training=True, classes=2, mix=Mix(1.0), weights=weights)[0]
    np.testing.assert_allclose(counts, rows @ weights, rtol=1e-5)


def test_class_weights_change_the_loss_of_both_branches_as_keras_would(tmp_path):
    """Keras refuses class_weight for a model of several outputs; weights of images are the same."""
    images, labels = arrays(48, classes=3)
    options = {"recipe": {**RECIPE, "epochs": 1, "batch_size": 256}, "verbose": False}
    plain = train(two_output_model(classes=3), data=(images, labels), out=tmp_path / "a", **options)
    keras.utils.set_random_seed(0)
    found = []
    for number, weights in enumerate(({0: 1.0, 1: 1.0, 2: 1.0}, {0: 3.0, 1: 3.0, 2: 3.0})):
        model = tiny_model(classes=3, dropout=0)
        model.set_weights([np.full(w.shape, 0.01 * (i + 1)) for i, w in enumerate(model.get_weights())])
        out = tmp_path / str(number)
        found.append(train(model, data=(images, labels), out=out, class_weight=weights, **options))
    assert found[1].history[0]["loss"] == pytest.approx(3 * found[0].history[0]["loss"], rel=1e-4)
    both = train(
        two_output_model(classes=3), data=(images, labels), out=tmp_path / "b", class_weight={"1": 5.0}, **options
    )
    assert both.config["class_weight"] == {"0": 1.0, "1": 5.0, "2": 1.0} and plain.config["class_weight"] is None
    assert set(both.history[0]) == set(plain.history[0])


def test_a_resumed_run_has_to_have_the_same_weights(tmp_path):
    from kattn.runs.folder import RunError

    options = {"data": (IMAGES, LABELS["classes"]), "recipe": RECIPE, "out": tmp_path, "verbose": False}
    train(model_of("classes"), class_weight="balanced", **options)
    assert train(model_of("classes"), class_weight="balanced", resume=True, **options)
    with pytest.raises(RunError, match="class_weight"):
        train(model_of("classes"), resume=True, **options)
