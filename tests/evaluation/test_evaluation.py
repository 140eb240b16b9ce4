import json

import keras
import numpy as np
import pytest
from support.training import arrays, image_folder, tiny_model, two_output_model

from kattn.data.errors import DataError
from kattn.data.loading import load
from kattn.evaluation.evaluation import evaluate
from kattn.training.run import train

RECIPE = {"epochs": 1, "batch_size": 8, "learning_rate": 0.02}


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
    recipe = {**RECIPE, "batch_size": 256}
    done = train(
        tiny_model(classes=10), data="digits", image_size=8, split_seed=4, recipe=recipe, out=tmp_path, verbose=False
    )
    assert evaluate(tmp_path).confusion == done.evaluation.confusion
    assert evaluate(tmp_path, split_seed=0).images == done.evaluation.images
    assert evaluate(tmp_path, split="validation", weights="best").images == 143
    assert str(done.evaluation).startswith("tiny on 359 images of digits: accuracy ")


def test_a_run_on_some_images_is_evaluated_on_none_that_it_was_trained_on(tmp_path):
    image_folder(tmp_path / "images", 400, ("ant", "bee"))
    model = tiny_model(classes=2)
    options = {"recipe": RECIPE, "out": tmp_path / "run", "verbose": False, "limit": 20}
    done = train(model, data=str(tmp_path / "images"), **options)
    (tmp_path / "images" / "ant" / "0.png").write_text("no image")
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
    assert 50 < len(seen) < 110 and not trained & set(seen)  # about a fifth, by the names of the files


def test_a_run_from_one_domain_to_another_is_evaluated_on_the_other(tmp_path):
    image_folder(tmp_path / "art", 20, ("ant", "bee"))
    image_folder(tmp_path / "clip", 14, ("ant", "bee"))
    both = {"train": tmp_path / "art", "test": tmp_path / "clip"}
    done = train(tiny_model(classes=2), data=both, recipe=RECIPE, out=tmp_path / "run", verbose=False)
    assert done.config["data"]["spec"] == f"{tmp_path / 'art'}:{tmp_path / 'clip'}"
    assert evaluate(done.path).to_dict() == {**done.evaluation.to_dict(), "model": str(done.path)}
    assert done.evaluation.images == 14


def test_classes_that_are_called_otherwise_are_not_the_same(tmp_path):
    image_folder(tmp_path / "one", 20, ("ant", "bee"))
    image_folder(tmp_path / "other", 20, ("ant", "cat"))
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
