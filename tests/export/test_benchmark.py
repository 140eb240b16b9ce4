"""bench: one row an artefact, and errors for what it cannot time. No test looks at a time."""

from __future__ import annotations

import json

import keras
import pytest

from kattn.export import ExportInputError, bench
from kattn.export.apart import run_apart
from kattn.export.to_onnx.runner import ONNXRunner
from kattn.export.to_tflite import runner


def test_rows_in_the_order_given(artefacts, tmp_path):
    paths = [artefacts / "m.onnx", artefacts / "m.tflite", artefacts / "m"]
    result = bench(*paths, calls=12, warmup=1, json_path=tmp_path / "bench.json")
    assert [row.path for row in result] == [str(path) for path in paths]
    assert [row.format for row in result] == ["onnx", "tflite", "saved_model"]
    assert [row.threads for row in result] == [1, 1, None]
    for row in result:
        assert row.calls == 12 and row.bytes > 1000
        assert 0 < row.min_ms <= row.p50_ms <= row.p95_ms and row.load_ms > 0
    assert result[0].ratio == 1.0 and len(result) == 3
    assert {"onnxruntime", "ai-edge-litert", "tensorflow"} <= set(result.versions)
    assert json.loads((tmp_path / "bench.json").read_text()) == json.loads(json.dumps(result.to_dict()))
    assert len(str(result).splitlines()) == 4


def test_a_batch_where_the_artefact_leaves_it_open(artefacts):
    rows = bench(artefacts / "m.onnx", artefacts / "m.tflite", calls=2, warmup=0, batch=3)
    assert [row.batch for row in rows] == [3, 1]


def test_mistakes_are_named(artefacts, tmp_path):
    with pytest.raises(ExportInputError, match="at least one artefact"):
        bench()
    with pytest.raises(ExportInputError, match="threads must be at least 1"):
        bench(artefacts / "m.onnx", threads=0)
    (tmp_path / "m.pb").write_bytes(b"a graph")
    with pytest.raises(ExportInputError, match=r"Known: a folder with saved_model\.pb, \.tflite, \.onnx, \.keras"):
        bench(artefacts / "m.onnx", tmp_path / "m.pb")
    with pytest.raises(ExportInputError, match=r"There is no artefact .*none\.onnx"):
        bench(artefacts / "none.onnx")


@pytest.mark.parametrize("name", ["m.onnx", "m.tflite"])
def test_a_damaged_artefact_is_named(artefacts, tmp_path, name):
    (tmp_path / name).write_bytes((artefacts / name).read_bytes()[:-100])
    with pytest.raises(ExportInputError, match=r"m.* is not a readable .* artefact: "):
        bench(tmp_path / name)


def test_a_file_that_would_end_the_process(artefacts, monkeypatch):
    monkeypatch.setattr(runner, "run_apart", lambda task, what, path: run_apart("support.tasks:die", what))
    with pytest.raises(ExportInputError, match=r"m\.tflite is not a readable.*ended the process.*SIGABRT"):
        bench(artefacts / "m.onnx", artefacts / "m.tflite")


def test_a_file_that_loads_and_does_not_run(artefacts, monkeypatch):
    def refuses(*_):
        raise RuntimeError("Input tensor 13 lacks data")

    monkeypatch.setattr(ONNXRunner, "run", refuses)
    with pytest.raises(ExportInputError, match=r"m\.onnx can be read but not run: .*Input tensor 13 lacks data"):
        bench(artefacts / "m.onnx")


def test_an_artefact_of_open_size_needs_one(tmp_path):
    layers = [keras.layers.Conv2D(4, 3), keras.layers.GlobalAveragePooling2D()]
    keras.Sequential([keras.Input((None, None, 3)), *layers]).save(tmp_path / "m.keras")
    with pytest.raises(ExportInputError, match="leaves its input size open"):
        bench(tmp_path / "m.keras")
    assert len(bench(tmp_path / "m.keras", input_shape=(8, 8, 3), calls=2)) == 1
