import json

import keras
import numpy as np
import pytest
from support.training import arrays, tiny_model, two_output_model

from kattn.data.errors import DataError
from kattn.data.loading import load
from kattn.evaluation.evaluation import Evaluation, calibration_error, evaluate, measure
from kattn.training.run import train

PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4], [0.6, 0.3, 0.1]])
LABELS = np.array([0, 1, 2, 1])
RECIPE = {"epochs": 1, "batch_size": 8, "learning_rate": 0.02}


def test_the_numbers_are_what_their_definitions_say():
    found = measure(PROBABILITIES, LABELS, ["a", "b", "c"])
    assert found.top1 == 0.75
    assert found.top5 is None
    assert found.loss == pytest.approx(-np.log([0.7, 0.8, 0.4, 0.3]).mean())
    assert found.confusion == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    assert found.per_class == {"a": 1.0, "b": 0.5, "c": 1.0}
    assert found.calibration_error == pytest.approx((0.3 + 0.2 + 0.6 + 0.6) / 4)


def test_calibration_compares_confidence_with_accuracy_bin_by_bin():
    confidence = np.full(100, 0.75)
    assert calibration_error(confidence, np.arange(100) < 75) == pytest.approx(0.0, abs=1e-12)
    assert calibration_error(confidence, np.arange(100) < 50) == pytest.approx(0.25)
    both = np.concatenate([np.full(50, 0.55), np.full(50, 1.0)])
    assert calibration_error(both, np.arange(100) < 50) == pytest.approx((0.45 + 1.0) / 2)


def test_top5_counts_the_five_highest():
    outputs = np.tile(np.arange(8.0) / 28, (8, 1))
    found = measure(outputs, np.arange(8))
    assert (found.top1, found.top5) == (1 / 8, 5 / 8)


def test_logits_give_the_same_as_their_probabilities():
    logits = np.log(PROBABILITIES) * 1.0 + 3
    assert measure(logits, LABELS).loss == pytest.approx(measure(PROBABILITIES, LABELS).loss)


def test_a_class_without_images_has_no_accuracy_and_all_of_it_is_json():
    found = measure(PROBABILITIES[:2], LABELS[:2])
    assert found.per_class["2"] is None
    assert Evaluation(**json.loads(json.dumps(found.to_dict()))) == found


def test_outputs_that_are_not_finite_are_an_error():
    with pytest.raises(ValueError, match="not finite"):
        measure(PROBABILITIES * np.nan, LABELS)


def test_a_keras_model_is_evaluated_as_keras_does():
    model = tiny_model(classes=3)
    images, labels = arrays(37)
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    loss, accuracy = model.evaluate(images, labels, verbose=0)
    found = evaluate(model, {"test": (images, labels)}, batch_size=10)
    assert (found.images, found.top1) == (37, pytest.approx(accuracy))
    assert found.loss == pytest.approx(loss, rel=1e-4)


def test_the_main_output_of_several_is_evaluated():
    model = two_output_model(classes=3)
    images, labels = arrays(20)
    expected = model.predict_on_batch(images)["predictions"].argmax(1)
    assert evaluate(model, {"test": (images, labels)}).top1 == (expected == labels).mean()


def test_a_function_of_images_is_enough():
    images, labels = arrays(20)
    found = evaluate(lambda batch: np.eye(3)[batch.mean((1, 2, 3)).astype(int) // 60], {"test": (images, labels)})
    assert found.top1 == pytest.approx((images.mean((1, 2, 3)).astype(int) // 60 == labels).mean())


def test_every_artefact_of_a_run_gives_the_same_numbers(tmp_path):
    """The folder, the .keras file, the SavedModel, TFLite and ONNX, on the same test images."""
    from kattn import export

    done = train(
        tiny_model(), data="digits", image_size=8, limit=60, recipe=RECIPE, out=tmp_path / "run", verbose=False
    )
    export.saved_model(done.model, tmp_path / "saved")
    export.tflite(done.model, tmp_path / "m.tflite")
    export.onnx(done.model, tmp_path / "m.onnx")
    found = [evaluate(tmp_path / "run", limit=60)]
    found += [
        evaluate(tmp_path / file, "digits", limit=60) for file in ("run/model.keras", "saved", "m.tflite", "m.onnx")
    ]
    assert len({json.dumps(each.confusion) for each in found}) == 1
    assert found[0].confusion == done.evaluation.confusion
    np.testing.assert_allclose([each.loss for each in found], done.evaluation.loss, rtol=1e-4)


def test_a_runs_folder_is_evaluated_on_its_own_split(tmp_path):
    done = train(
        tiny_model(classes=10), data="digits", image_size=8, split_seed=4, recipe=RECIPE, out=tmp_path, verbose=False
    )
    assert evaluate(tmp_path).confusion == done.evaluation.confusion
    assert evaluate(tmp_path, split_seed=0).images == done.evaluation.images
    assert evaluate(tmp_path, split="validation", weights="best").images == 143
    assert str(done.evaluation).startswith("tiny on 359 images of digits: accuracy ")


def test_a_run_on_some_images_is_evaluated_on_none_that_it_was_trained_on(tmp_path):
    from support.image_files import write_folder

    write_folder(tmp_path / "images", count=200, size=(8, 8))
    model = tiny_model(classes=2)
    options = {"recipe": RECIPE, "out": tmp_path / "run", "verbose": False, "limit": 20}
    done = train(model, data=str(tmp_path / "images"), **options)
    (tmp_path / "images" / "ant" / "00.png").write_text("no image")
    assert evaluate(done.path, on_error="skip").images == 20
    with pytest.raises(DataError, match="no readable image"):
        evaluate(done.path)
    assert evaluate(done.path, limit=8, on_error="skip").images == 8
    trained = {image.tobytes() for image in load(str(tmp_path / "images"), limit=20, on_error="skip").train.images}
    seen = []

    def answer(images):
        seen.extend(image.tobytes() for image in images)
        return np.eye(2)[np.zeros(len(images), int)]

    evaluate(answer, str(tmp_path / "images"), on_error="skip")
    assert len(seen) == 80 and not trained & set(seen)


def test_a_run_from_one_domain_to_another_is_evaluated_on_the_other(tmp_path):
    from support.image_files import write_folder

    write_folder(tmp_path / "art", size=(8, 8))
    write_folder(tmp_path / "clip", count=7, size=(8, 8))
    both = {"train": tmp_path / "art", "test": tmp_path / "clip"}
    done = train(tiny_model(classes=2), data=both, recipe=RECIPE, out=tmp_path / "run", verbose=False)
    assert done.config["data"]["spec"] == f"{tmp_path / 'art'}:{tmp_path / 'clip'}"
    assert evaluate(done.path).to_dict() == {**done.evaluation.to_dict(), "model": str(done.path)}
    assert done.evaluation.images == 14


def test_classes_that_are_called_otherwise_are_not_the_same(tmp_path):
    from support.image_files import write_folder

    write_folder(tmp_path / "one", classes=("ant", "bee"), size=(8, 8))
    write_folder(tmp_path / "other", classes=("ant", "cat"), size=(8, 8))
    model = tiny_model(classes=2)
    done = train(model, data=tmp_path / "one", recipe=RECIPE, out=tmp_path / "run", verbose=False)
    assert evaluate(done.path).per_class.keys() == {"ant", "bee"}
    with pytest.raises(DataError, match=r"learned the classes \['ant', 'bee'\]\.\.\., .*other has \['ant', 'cat'\]"):
        evaluate(done.path, tmp_path / "other")


def test_a_run_of_arrays_asks_for_the_data(tmp_path):
    train(tiny_model(classes=3), data=arrays(60), recipe=RECIPE, out=tmp_path, verbose=False)
    with pytest.raises(DataError, match="pass data="):
        evaluate(tmp_path)
    assert evaluate(tmp_path, arrays(60)).images == 12


@pytest.mark.parametrize(
    ("model", "data", "options", "error", "message"),
    [
        ("nowhere.keras", "digits", {}, ValueError, r"There is no nowhere\.keras"),
        (3, "digits", {}, ValueError, "Cannot evaluate a int"),
        (tiny_model(classes=2), arrays(20), {}, DataError, "label 2 of image 2 is out of range, labels are 0 to 1"),
        (tiny_model(channels=1), arrays(20), {}, DataError, "3 channels, the model takes 1"),
        (tiny_model(size=10), arrays(20), {}, DataError, "8x8, the model takes 10x10"),
        (tiny_model(), None, {}, DataError, "pass data="),
        (tiny_model(), arrays(20), {"split": "all"}, ValueError, "split must be"),
        (tiny_model(), {"test": arrays(20)}, {"split": "validation"}, DataError, "validation split of arrays is empty"),
        (keras.Model((x := keras.Input((4,))), x), "digits", {}, ValueError, "does not take one batch of images"),
    ],
)
def test_what_does_not_fit_is_one_clear_error(model, data, options, error, message):
    with pytest.raises(error, match=message):
        evaluate(model, data, **options)


def test_a_file_that_is_no_model_is_an_error(tmp_path):
    (tmp_path / "m.keras").write_text("no model")
    with pytest.raises(ValueError, match=r"m\.keras"):
        evaluate(tmp_path / "m.keras", "digits")
