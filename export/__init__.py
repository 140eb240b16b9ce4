"""Artefacts proven equal to their model: `saved_model`, `tflite`, `onnx` write, `load` runs, `bench` times them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kattn.export.formats import FORMATS as FORMATS
from kattn.lazy import face

if TYPE_CHECKING:
    from kattn.export.benchmark import bench as bench
    from kattn.export.errors import ExportError as ExportError
    from kattn.export.errors import ExportInputError as ExportInputError
    from kattn.export.formats import load as load
    from kattn.export.proof.compare import compare as compare
    from kattn.export.proof.report import Report as Report
    from kattn.export.to_onnx.export import onnx as onnx
    from kattn.export.to_saved_model.export import saved_model as saved_model
    from kattn.export.to_tflite.export import tflite as tflite

# Where each public name lives. No module has the name of what it gives: importing a submodule sets an attribute of its
# name on the package, which would hide a function of the same name.
LOCATIONS = {
    "ExportError": "errors",
    "ExportInputError": "errors",
    "FORMATS": "formats",
    "Report": "proof.report",
    "bench": "benchmark",
    "compare": "proof.compare",
    "load": "formats",
} | {row.name: row.exporter_path.removeprefix(f"{__name__}.").partition(":")[0] for row in FORMATS.values()}

__getattr__, __dir__ = face(__name__, LOCATIONS)
