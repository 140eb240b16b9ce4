"""Artefacts proven equal to their model: `saved_model`, `tflite`, `onnx` write, `load` runs, `bench` times them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kattn.export.benchmark import bench as bench
    from kattn.export.errors import ExportError as ExportError
    from kattn.export.errors import ExportInputError as ExportInputError
    from kattn.export.report import Report as Report
    from kattn.export.to_onnx import onnx as onnx
    from kattn.export.to_saved_model import saved_model as saved_model
    from kattn.export.to_tflite import tflite as tflite
    from kattn.export.verify import compare as compare
    from kattn.export.verify import load as load

# Where each public name lives. No module has the name of what it gives: importing a submodule sets an attribute of its
# name on the package, which would hide a function of the same name.
LOCATIONS = {
    "ExportError": "errors",
    "ExportInputError": "errors",
    "Report": "report",
    "bench": "benchmark",
    "compare": "verify",
    "load": "verify",
    "onnx": "to_onnx",
    "saved_model": "to_saved_model",
    "tflite": "to_tflite",
}


def __getattr__(name: str) -> Any:
    if name not in LOCATIONS:
        raise AttributeError(f"module 'kattn.export' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"kattn.export.{LOCATIONS[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *LOCATIONS})
