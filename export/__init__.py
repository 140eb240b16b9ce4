"""Artefacts proven equal to their model: `saved_model`, `tflite`, `onnx` write, `load` runs, `bench` times them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kattn.export.benchmark import bench as bench
    from kattn.export.errors import ExportError as ExportError
    from kattn.export.errors import ExportInputError as ExportInputError
    from kattn.export.proof.compare import compare as compare
    from kattn.export.proof.compare import load as load
    from kattn.export.proof.report import Report as Report
    from kattn.export.to_onnx.export import onnx as onnx
    from kattn.export.to_saved_model.export import saved_model as saved_model
    from kattn.export.to_tflite.export import tflite as tflite

# Where each public name lives. No module has the name of what it gives: importing a submodule sets an attribute of its
# name on the package, which would hide a function of the same name.
LOCATIONS = {
    "ExportError": "errors",
    "ExportInputError": "errors",
    "Report": "proof.report",
    "bench": "benchmark",
    "compare": "proof.compare",
    "load": "proof.compare",
    "onnx": "to_onnx.export",
    "saved_model": "to_saved_model.export",
    "tflite": "to_tflite.export",
}


def __getattr__(name: str) -> Any:
    if name not in LOCATIONS:
        raise AttributeError(f"module 'kattn.export' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"kattn.export.{LOCATIONS[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *LOCATIONS})
