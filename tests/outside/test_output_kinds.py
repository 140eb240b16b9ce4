"""Binary, several answers, regression and map outputs: evaluated, trained, exported and explained by what they are."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import r2_score, roc_auc_score
from support.output_kinds import body, model_of, painted, targets

import kattn
from kattn.cli.main import main
from kattn.data.errors import DataError
from kattn.evaluation import AttributeEvaluation, BinaryEvaluation, Evaluation, MapEvaluation, ValueEvaluation
from kattn.export import ExportError, ExportInputError, tflite

IMAGES = painted(24)
LABELS = targets(IMAGES) | {"binary": targets(IMAGES)["binary"][:, 0].astype(int)}
EVALUATIONS = {
    "classes": Evaluation,
    "binary": BinaryEvaluation,
    "attributes": AttributeEvaluation,
    "values": ValueEvaluation,
    "map": MapEvaluation,
}


@pytest.fixture(scope="module")
def several():
    """One network with an output of each kind, called by it."""
    return model_of("values", "classes", "binary", "attributes", "map")


# Evaluation.


@pytest.mark.parametrize("kind", EVALUATIONS)
def test_each_output_of_a_model_is_evaluated_by_its_kind(several, kind):
    found = kattn.evaluate(several, {"test": (IMAGES, LABELS[kind])}, output=kind)
    assert isinstance(found, EVALUATIONS[kind])
    expected = several.predict(IMAGES.astype("float32"), verbose=0)[kind]
    said = {
        "classes": lambda: (found.top1, (expected.argmax(-1) == LABELS[kind]).mean()),
        "binary": lambda: (found.roc_auc, roc_auc_score(LABELS[kind], expected[:, 0])),
        "attributes": lambda: (found.accuracy, ((expected > 0.5) == LABELS[kind]).mean()),
        "values": lambda: (found.r2, r2_score(LABELS[kind], expected)),
        "map": lambda: (found.pixel_accuracy, (expected.argmax(-1) == LABELS[kind]).mean()),
    }[kind]()
    assert said[0] == pytest.approx(said[1], rel=1e-5)


def test_the_first_output_is_meant_and_a_wrong_name_is_told(several):
    assert isinstance(kattn.evaluate(several, {"test": (IMAGES, LABELS["values"])}), ValueEvaluation)
    assert isinstance(kattn.evaluate(several, {"test": (IMAGES, LABELS["classes"])}, output=1), Evaluation)
    with pytest.raises(ValueError, match="has the outputs values, classes, binary, attributes, map"):
        kattn.evaluate(several, {"test": (IMAGES, LABELS["values"])}, output="value")


@pytest.mark.parametrize(
    ("output", "labels", "said"),
    [
        ("values", np.full((24, 3), 0.5), "3 values an image, the model has 2 outputs"),
        ("attributes", LABELS["classes"], "labels of attributes are rows of 0 and 1"),
        ("classes", np.eye(3)[LABELS["classes"]], "one-hot"),
        ("binary", LABELS["classes"] + 1, "labels are 0 to 1"),
        ("map", LABELS["classes"], "one integer a pixel"),
        ("map", LABELS["map"] + 3, "out of range, labels are 0 to 2"),
        ("values", np.full((24, 2), np.nan), "finite numbers"),
    ],
)
def test_labels_of_another_kind_are_one_clear_error(several, output, labels, said):
    with pytest.raises(DataError, match=said):
        kattn.evaluate(several, {"test": (IMAGES, labels)}, output=output)


@pytest.mark.parametrize("labels", ["int", "float", "column", "bool"])
def test_yes_and_no_are_written_in_several_ways(labels):
    model, one = model_of("binary"), LABELS["binary"]
    written = {"int": one, "float": one.astype("float32"), "column": one[:, None], "bool": one.astype(bool)}[labels]
    found = kattn.evaluate(model, {"test": (IMAGES, written)})
    expected = model.predict(IMAGES.astype("float32"), verbose=0)[:, 0]
    assert found.accuracy == ((expected > 0.5) == one).mean()


def test_a_folder_of_two_classes_and_one_unit(tmp_path, capsys):
    for number, (image, label) in enumerate(zip(IMAGES, LABELS["binary"], strict=True)):
        folder = tmp_path / "photos" / ("dog" if label else "cat")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{number}.png")
    model = model_of("binary")
    model.save(tmp_path / "m.keras")
    kattn.export.tflite(model, tmp_path / "m.tflite", images=IMAGES.astype("float32"))
    found = [kattn.evaluate(tmp_path / file, tmp_path / "photos") for file in ("m.keras", "m.tflite")]
    assert found[0].per_class.keys() == {"cat", "dog"} and found[0].confusion == found[1].confusion
    assert main(["evaluate", str(tmp_path / "m.tflite"), "--data", str(tmp_path / "photos"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["confusion"] == found[0].confusion
    (tmp_path / "m.tflite.json").unlink()  # a file without its certificate: the labels say what it is
    alone = kattn.evaluate(tmp_path / "m.tflite", tmp_path / "photos", value_range=(0, 255))
    assert alone.confusion == found[0].confusion


def test_a_column_of_numbers_is_a_regression_whatever_type_the_labels_have():
    image, x = body()
    model = keras.Model(image, keras.layers.Dense(1)(keras.layers.GlobalAveragePooling2D()(x)))
    ages = (20 + 40 * LABELS["attributes"].mean(1)).astype(int)
    found = kattn.evaluate(model, {"test": (IMAGES, ages)})
    expected = model.predict(IMAGES.astype("float32"), verbose=0)[:, 0]
    assert found.mae == pytest.approx(np.abs(expected - ages).mean(), rel=1e-5)


def test_logits_without_a_name_are_classes_where_the_labels_are():
    image, x = body()
    model = keras.Model(image, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x)))
    found = kattn.evaluate(model, {"test": (IMAGES, LABELS["classes"])})
    assert isinstance(found, Evaluation)
    assert isinstance(kattn.evaluate(model, {"test": (IMAGES, np.float32(LABELS["attributes"]) / 2)}), ValueEvaluation)
    stated = kattn.evaluate(model, {"test": (IMAGES, LABELS["attributes"])}, kind="attributes")
    assert isinstance(stated, AttributeEvaluation)
    with pytest.raises(ValueError, match=r"'clases'.*classes"):
        kattn.evaluate(model, {"test": (IMAGES, LABELS["classes"])}, kind="clases")


def test_class_numbers_and_embeddings():
    image, x = body()
    pooled = keras.layers.GlobalAveragePooling2D()(x)
    classes = keras.layers.Dense(3, activation="softmax")(pooled)
    model = keras.Model(image, {"numbers": keras.ops.argmax(classes, -1), "vector": pooled, "classes": classes})
    data = {"test": (IMAGES, LABELS["classes"])}
    found = kattn.evaluate(model, data, output="numbers")
    assert found.top1 == kattn.evaluate(model, data, output="classes").top1 and found.loss is None
    with pytest.raises(ValueError, match="'vector' is an embedding"):
        kattn.evaluate(model, data, output="vector")


def test_functions_are_measured_by_their_labels():
    data = {kind: {"test": (IMAGES, LABELS[kind])} for kind in LABELS}
    mean = IMAGES.astype("float32").mean((1, 2)) / 255
    answers = {image.tobytes(): row for image, row in zip(IMAGES, mean, strict=True)}

    def means(images):
        return np.stack([answers[image.tobytes()] for image in images])

    assert isinstance(kattn.evaluate(lambda x: means(x)[:, 0], data["binary"]), BinaryEvaluation)
    assert isinstance(kattn.evaluate(means, data["attributes"]), AttributeEvaluation)
    assert kattn.evaluate(means, data["classes"]).top1 == 1
    found = kattn.evaluate(
        lambda x: np.stack([10 + 5 * means(x)[:, 0], means(x)[:, 1] - means(x)[:, 2]], 1), data["values"]
    )
    assert found.r2 == pytest.approx(1)
    found = kattn.evaluate(lambda x: x.argmax(-1), data["map"])
    assert (found.pixel_accuracy, found.mean_iou, found.loss) == (1, 1, None)


# Export: tests/export/proof/test_kinds.py breaks files of every kind.

PIXELS = painted(64).astype("float32")
INT8 = {"precision": "int8", "calibration": PIXELS}


def ending(end):
    """A network of two convolutions, and what `end` makes of their mean."""
    image, x = body()
    return keras.Model(image, end(keras.layers.GlobalAveragePooling2D()(x)))


def test_a_nearly_constant_file_is_not_called_proven(tmp_path, capsys):
    model = ending(lambda x: keras.layers.Dense(4, "softmax", kernel_initializer=keras.initializers.Constant(1e-5))(x))
    report = tflite(model, tmp_path / "m.tflite", **INT8)
    first, *others = str(report).splitlines()
    assert first.startswith("warning:") and "is not proven" in first and "hardly differs" in first
    assert not report.proven and "hardly differs" in report.warnings[0] and "agreement" not in report.checks
    assert not any("agreement" in line for line in others)
    model.save(tmp_path / "m.keras")
    out = ["--out", str(tmp_path / "out")]
    assert main(["export", str(tmp_path / "m.keras"), *out]) == 0
    assert capsys.readouterr().out.startswith("warning:")


@pytest.mark.parametrize(
    ("end", "kinds", "kind"),
    [
        (lambda x: keras.layers.Dense(4)(x), None, "values"),
        (lambda x: keras.layers.Dense(4)(x), "classes", "classes"),
        (lambda x: keras.layers.Dense(4)(x), {"predictions": "embedding"}, "embedding"),
        (lambda x: keras.layers.Dense(4, name="logits")(x), None, "classes"),
        (lambda x: keras.layers.Dense(1, "tanh")(x), None, "values"),
        (lambda x: keras.layers.Reshape((2, 2))(keras.layers.Dense(4)(x)), None, "values"),
    ],
)
def test_what_an_output_is_is_read_or_stated(end, kinds, kind, tmp_path):
    report = tflite(ending(end), tmp_path / "m.tflite", images=PIXELS, kinds=kinds)
    assert report.proven and report.outputs["predictions"]["kind"] == kind
    certificate = json.loads((tmp_path / "m.tflite.json").read_text())["outputs"]["predictions"]
    assert certificate.items() >= {"kind": kind, "measure": "difference", "limit": 1e-4}.items()


def test_a_kind_that_does_not_exist_is_told(tmp_path):
    with pytest.raises(ExportInputError, match=r"'class'.*classes"):
        tflite(ending(keras.layers.Dense(4)), tmp_path / "m.tflite", images=PIXELS, kinds="class")


def test_two_values_of_different_scales_do_not_fit_into_8_bits(tmp_path):
    """A year beside a price: the year has less than one of 256 steps, which was written without a word."""
    scale = keras.layers.Rescaling([1.0, 5000.0], offset=[0.0, 0.0])
    model = ending(lambda x: scale(keras.layers.Dense(2)(x)))
    with pytest.raises(ExportError, match=r"error of the values is .* max_error=") as caught:
        tflite(model, tmp_path / "m.tflite", **INT8)
    assert "float16" in str(caught.value) and list(tmp_path.iterdir()) == []
    accepted = tflite(model, tmp_path / "m.tflite", **INT8, max_error=float("inf"))
    assert not accepted.proven and "switched off" in accepted.warnings[0]
    assert tflite(model, tmp_path / "m.tflite", precision="float16", images=PIXELS).proven


def test_the_command_line_states_kinds_and_limits(tmp_path, capsys):
    ending(keras.layers.Dense(4)).save(tmp_path / "m.keras")
    command = ["export", str(tmp_path / "m.keras"), "--out", str(tmp_path), "--kinds"]
    assert main([*command, "classes"]) == 0
    assert main([*command, "predictions=embedding", "--max-error", "0.5"]) == 0
    found = json.loads(next(tmp_path.glob("*.tflite.json")).read_text())["outputs"]["predictions"]
    assert found["kind"] == "embedding"
    assert main([*command, "clases"]) == 1
    assert "classes" in capsys.readouterr().err
