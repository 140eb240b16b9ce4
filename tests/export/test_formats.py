"""The table of formats: what a row promises, and that a row is all that a new format takes."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
from support import toy_format

import kattn
from kattn.cli.main import main
from kattn.export import bench, load
from kattn.export.formats import FORMATS, KERAS, format_of
from kattn.export.proof.runner import Runner


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setitem(FORMATS, "toy", toy_format.ROW)
    return FORMATS["toy"]


@pytest.mark.parametrize("row", [*FORMATS.values(), KERAS], ids=lambda row: row.name)
def test_a_row_names_a_runner_and_an_exporter_that_exist(row):
    assert issubclass(row.runner, Runner) and row.runner.format == row.name
    assert bool(row.suffix) != bool(row.marker)
    if row is not KERAS:
        assert row.exporter is getattr(kattn.export, row.name)
        assert {"outputs", "input_shape", "images", "tolerance", "batch", "overwrite"} <= set(row.options)
        assert ("precision" in row.options) == (len(row.precisions) > 1)
        assert ("calibration" in row.options) == any(p.calibrated for p in row.precisions.values())
        assert "precision" not in row.options or row.options["precision"].default == next(iter(row.precisions))


@pytest.mark.parametrize("row", FORMATS.values(), ids=lambda row: row.name)
def test_every_precision_has_a_file_of_its_own_that_is_recognised(row, tmp_path):
    names = [row.file_name("net", precision) for precision in row.precisions]
    assert len(set(names)) == len(names)
    for name in names:
        if row.marker:
            (tmp_path / name).mkdir()
            (tmp_path / name / row.marker).touch()
        assert format_of(tmp_path / name) is row


def test_names_of_files():
    assert FORMATS["tflite"].file_name("net", "int8") == "net_int8.tflite"
    assert (
        FORMATS["onnx"].file_name("net") == "net.onnx" and FORMATS["onnx"].file_name("net", "int8") == "net_int8.onnx"
    )
    assert FORMATS["saved_model"].file_name("net") == "net_saved_model"


def test_what_has_no_format(tmp_path):
    assert format_of(tmp_path) is None and format_of("model.pth") is None
    assert format_of("model.keras") is KERAS
    (tmp_path / "m.onnx").mkdir()
    assert format_of(tmp_path / "m.onnx") is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"precision": "int4"}, "precision must be one of float32, float16, int8 in ONNX. Received: 'int4'"),
        ({"opste": 17}, r"Unknown option of exports to ONNX 'opste'\. Closest: opset.*All names: layout, batch"),
    ],
)
def test_an_option_that_a_format_does_not_have(model, tmp_path, options, said):
    with pytest.raises(ValueError, match=said):
        FORMATS["onnx"].export(model, tmp_path / "m.onnx", **options)


def test_a_toy_format_is_exported_loaded_evaluated_and_timed(toy, model, images, tmp_path):
    for precision in toy.precisions:
        path = tmp_path / toy.file_name("m", precision)
        report = toy.export(model, path, precision=precision, calibration=images, images=images)
        assert report.format == "toy" and report.precision == precision and report.max_abs_diff <= 1e-6
        assert json.loads(path.with_name(f"{path.name}.json").read_text())["checks"]["digits"] == "3"
        np.testing.assert_allclose(load(path)(images)["predictions"], model.predict(images, verbose=0), atol=1e-6)
        assert kattn.evaluate(path, data=(images, np.arange(len(images)) % 5)).accuracy >= 0
    rows = bench(tmp_path / "m_float32.toy", tmp_path / "m_rounded.toy", calls=2, warmup=0)
    assert [row.format for row in rows] == ["toy", "toy"]
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".json", ".toy", ".toy"]


def test_a_toy_format_through_the_command_line(toy, tmp_path, capsys):
    image = keras.Input((8, 8, 1))
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image))
    keras.Model(image, keras.layers.Dense(10, "softmax")(x), name="net").save(tmp_path / "net.keras")

    def answer(*command):
        assert main([str(word) for word in command]) == 0
        return capsys.readouterr().out

    said = answer(
        "export",
        tmp_path / "net.keras",
        "--to",
        "toy",
        "--precision",
        "float32",
        "rounded",
        "--calibration",
        "digits",
        "--out",
        tmp_path,
    )
    assert "net_float32.toy: toy float32" in said and "net_rounded.toy: toy rounded" in said
    said = answer("evaluate", tmp_path / "net_rounded.toy", "--data", "digits")
    assert "net_rounded.toy" in said and "accuracy" in said
    assert "net_float32.toy" in answer("bench", tmp_path / "net_float32.toy")
