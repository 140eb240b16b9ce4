"""Nothing heavy is imported before it is needed, and no module hides a function."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import kattn.export

HEAVY = ("tensorflow", "keras", "tf2onnx", "onnx", "onnxruntime", "onnxslim", "ai_edge_litert")


def loaded_after(statement: str) -> set[str]:
    script = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_package_imports_nothing_heavy():
    assert not set(HEAVY) & loaded_after("import kattn.export; dir(kattn.export); kattn.export.ExportError")


def test_bench_and_load_import_no_keras_and_no_converter():
    loaded = loaded_after("from kattn.export import bench, load, compare, Report")
    assert not set(HEAVY) & loaded


def test_exporters_import_no_converter():
    loaded = loaded_after("from kattn.export import onnx, tflite, saved_model")
    assert not {"tf2onnx", "onnx", "onnxruntime", "onnxslim", "ai_edge_litert"} & loaded


@pytest.mark.parametrize("name", sorted({*kattn.export.LOCATIONS} - {"FORMATS"}))
def test_public_names_stay_what_they_are_once_modules_are_imported(name):
    importlib.import_module(f"kattn.export.{kattn.export.LOCATIONS[name]}")
    assert callable(getattr(kattn.export, name))
    assert name in dir(kattn.export)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'coreml'"):
        _ = kattn.export.coreml  # type: ignore[attr-defined]
