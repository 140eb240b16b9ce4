"""The formats that models are exported to: one row each, and `load`, which opens an artefact of any of them.

The command line, quickstart, `load`, `evaluate`, `bench` and publishing read this table. A new format is a folder
beside `to_tflite` with an exporter and a runner, and one row here.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kattn.export.errors import ExportError, ExportInputError
from kattn.export.quiet import converting
from kattn.facts.stated import Stated
from kattn.suggest import unknown

if TYPE_CHECKING:
    from kattn.export.proof.report import Report
    from kattn.export.proof.runner import Runner


@dataclass(frozen=True)
class Precision:
    """What an artefact of one precision must keep to.

    Bounds of the measures in `proof.kinds`, which says what outputs of each kind are judged by; None where a measure is
    not checked.

    Attributes:
        tolerance: Largest difference from the model that is allowed, relative to max(1, largest absolute value of the
            output).
        min_agreement: Least share of images with the model's class, of those on which the model is sure.
        max_error: Largest root mean square error, over the standard deviation of the output from image to image.
        min_cosine: Least cosine between vectors.
        min_equal: Least share of equal whole numbers.
        calibrated: The exporter needs calibration images.
        allow_rounding: The bounds may be exceeded by a network that multiplies rounding errors as much in Keras itself.
        switched_off: The user has switched bounds off.
    """

    tolerance: float | None = None
    min_agreement: float | None = None
    max_error: float | None = None
    min_cosine: float | None = None
    min_equal: float | None = None
    calibrated: bool = False
    allow_rounding: bool = False
    switched_off: bool = False

    def with_limits(
        self, tolerance: float | None = None, min_agreement: float | None = None, max_error: float | None = None
    ) -> Precision:
        """The same with a user's bounds. None keeps its own.

        Args:
            tolerance: Infinity switches it off. Where the precision is held to a tolerance, the user's stands alone.
            min_agreement: Also of whole numbers and, as a cosine, of vectors; 0 switches these off, and the error too.
            max_error: Infinity switches it off.
        """
        changes: dict[str, Any] = {}
        if tolerance is not None:
            changes |= {"tolerance": None if math.isinf(tolerance) else tolerance, "allow_rounding": False}
            if self.tolerance is not None:
                changes["max_error"] = None
        if min_agreement is not None:
            changes |= dict.fromkeys(("min_agreement", "min_cosine", "min_equal"), min_agreement or None)
            if not min_agreement:
                changes["max_error"] = None
        if max_error is not None:
            changes["max_error"] = None if math.isinf(max_error) else max_error
        return dataclasses.replace(self, **changes, switched_off=None in changes.values())


FLOAT32 = Precision(tolerance=1e-4, max_error=0.01, min_cosine=0.9999, min_equal=1.0, allow_rounding=True)
FLOAT16 = Precision(tolerance=1e-2, max_error=0.1, min_cosine=0.999, min_equal=0.99)
DYNAMIC = Precision(min_agreement=0.9, max_error=0.3, min_cosine=0.95, min_equal=0.95)
INT16 = Precision(min_agreement=0.9, max_error=0.3, min_cosine=0.95, min_equal=0.95, calibrated=True)
INT8 = Precision(min_agreement=0.8, max_error=0.35, min_cosine=0.95, min_equal=0.95, calibrated=True)


@dataclass(frozen=True)
class Format:
    """One format. What is heavy is imported when it is used.

    Attributes:
        name: Of the format and of its exporter: "tflite".
        title: For tables that people read: "TFLite".
        runner_path: The runner's class as "module:class".
        exporter_path: The exporter as "module:function", called as (model, path, **options); "" where models are not
            exported to the format.
        suffix: By which its files are known; "" where an artefact is a folder.
        marker: A file by which an artefact that is a folder is known.
        precisions: Name to what is demanded, the exporter's default first.
        unmarked: The precision that a file's name does not mention.
        describes_itself: Its files hold the labels of the classes; for others they are written beside.
        open_sizes: An artefact can leave the sizes of its images open.
        apart: New artefacts are run in a child process: their runtime may die of them.
    """

    name: str
    title: str
    runner_path: str
    exporter_path: str = ""
    suffix: str = ""
    marker: str = ""
    precisions: Mapping[str, Precision] = field(default_factory=lambda: {"float32": FLOAT32})
    unmarked: str = ""
    describes_itself: bool = False
    open_sizes: bool = False
    apart: bool = False

    @property
    def exporter(self) -> Any:
        """The function that writes an artefact: (model, path, **options) to a `Report`."""
        return _imported(self.exporter_path)

    @property
    def runner(self) -> Any:
        """The `Runner` class that runs an artefact, called as (path, threads)."""
        return _imported(self.runner_path)

    @functools.cached_property
    def options(self) -> dict[str, inspect.Parameter]:
        """The options that the exporter takes, by name."""
        parameters = inspect.signature(self.exporter).parameters.values()
        return {parameter.name: parameter for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}

    def recognises(self, path: str | os.PathLike[str]) -> bool:
        """Whether a path is of this format: a file by its suffix, a folder by what it holds."""
        path = Path(path)
        return (path / self.marker).is_file() if self.marker else path.suffix == self.suffix and not path.is_dir()

    def file_name(self, model: str, precision: str = "float32") -> str:
        """Name for the artefact of a model: "resnet20_int8.tflite", "resnet20.onnx", "resnet20_saved_model"."""
        if not self.suffix:
            return f"{model}_{self.name}"
        return f"{model}{self.suffix}" if precision == self.unmarked else f"{model}_{precision}{self.suffix}"

    def export(
        self,
        model: Any,
        path: str | os.PathLike[str],
        *,
        precision: str = "float32",
        calibration: Any = None,
        **options: Any,
    ) -> Report:
        """Export a model, the same call for all formats: each exporter gets those options only that it takes.

        Args:
            model: The Keras model.
            path: The artefact to write.
            precision: One of the format's.
            calibration: Images to calibrate on; passed on where the precision is calibrated, else left out.
            options: Further options of the exporter.

        Raises: ExportInputError for a precision that the format does not have; ValueError for an option that it does
            not take; whatever its exporter raises.
        """
        self.check_precision(precision)
        for name in options:
            if name not in self.options:
                raise unknown(f"option of exports to {self.title}", name, self.options)
        if "precision" in self.options:
            options["precision"] = precision
        if self.precisions[precision].calibrated:
            options["calibration"] = calibration
        return self.exporter(model, path, **options)

    def check_precision(self, precision: str) -> None:
        """Raise ExportInputError for a precision that the format does not have."""
        if precision not in self.precisions:
            raise ExportInputError(
                f"precision must be one of {', '.join(self.precisions)} in {self.title}. Received: {precision!r}"
            )

    def open(self, path: str | os.PathLike[str], *, threads: int = 1, trust: bool = False) -> Runner:
        """A runner for an artefact of this format.

        Args:
            path, threads, trust: As in `load`.

        Raises: ExportInputError for one that its runtime cannot read, or that needs trust.
        """
        try:
            with converting(f"Reading {path}"):
                found = [] if trust else self.runner.beyond_computing(Path(path))
                if not found:
                    return self.runner(Path(path), threads)
        except ExportInputError:
            raise
        except (ExportError, OSError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
            raise ExportInputError(f"{path} is not a readable {self.name} artefact: {reason}") from error
        raise ExportInputError(
            f"{path} could do more than a model needs to, and was not opened. It has: {'; '.join(found)}. If you trust "
            "where it comes from, pass trust=True."
        )


FORMATS: dict[str, Format] = {
    row.name: row
    for row in (
        Format(
            name="saved_model",
            title="SavedModel",
            exporter_path="kattn.export.to_saved_model.export:saved_model",
            runner_path="kattn.export.to_saved_model.runner:SavedModelRunner",
            marker="saved_model.pb",
            open_sizes=True,
        ),
        Format(
            name="tflite",
            title="TFLite",
            exporter_path="kattn.export.to_tflite.export:tflite",
            runner_path="kattn.export.to_tflite.runner:TFLiteRunner",
            suffix=".tflite",
            precisions={"float32": FLOAT32, "float16": FLOAT16, "dynamic": DYNAMIC, "int16": INT16, "int8": INT8},
            apart=True,
        ),
        Format(
            name="onnx",
            title="ONNX",
            exporter_path="kattn.export.to_onnx.export:onnx",
            runner_path="kattn.export.to_onnx.runner:ONNXRunner",
            suffix=".onnx",
            precisions={"float32": FLOAT32, "float16": FLOAT16, "int8": INT8},
            unmarked="float32",
            describes_itself=True,
            open_sizes=True,
            apart=True,
        ),
    )
}
# The file that a model is saved in: it is run and timed beside the artefacts made from it.
KERAS = Format(name="keras", title="Keras", runner_path="kattn.export.proof.keras_runner:KerasRunner", suffix=".keras")
OLD_KERAS = dataclasses.replace(KERAS, title="Keras H5", suffix=".h5")
SAVED = (KERAS, OLD_KERAS)


def format_of(path: str | os.PathLike[str]) -> Format | None:
    """The format of an artefact or a .keras file, by its suffix or by what a folder holds; None for anything else."""
    return next((row for row in (*FORMATS.values(), *SAVED) if row.recognises(path)), None)


def load(
    path: str | os.PathLike[str],
    *,
    threads: int = 1,
    trust: bool = False,
    value_range: tuple[float, float] | None = None,
    preprocess: Callable[[Any], Any] | None = None,
    resize: str | None = None,
    interpolation: str | None = None,
    labels: Sequence[str] | str | Path | None = None,
    kinds: str | Mapping[str, str] | None = None,
) -> Runner:
    """A runner for an artefact of any format (a SavedModel folder, a .tflite or an .onnx file) or a .keras file.

    Args:
        path: The artefact.
        threads: Of the runtime, where it takes a number (ai-edge-litert, onnxruntime).
        trust: Open also what could do more than compute, such as a SavedModel that reads or writes files: see
            docs/security.md. Only for files whose source you trust.
        value_range, preprocess, resize, interpolation, labels, kinds: What is known of the model, where neither the
            file nor the certificate beside it says it; see `kattn.facts.stated.Stated`.

    Returns: The runner: called with images it gives the outputs by name. Its `description` is what the model takes and
        gives. Images are passed as the model takes them; values that it is known not to take are a warning, once.
    Raises: ExportInputError for a path that does not exist or is of no known format, that its runtime cannot read, or
        that needs trust.
    """
    path = Path(path)
    if not path.exists():
        raise ExportInputError(f"There is no artefact {path}.")
    if row := format_of(path):
        runner = row.open(path, threads=threads, trust=trust)
        try:
            runner.stated = Stated(value_range, preprocess, resize, interpolation, labels, kinds or {})
        except ValueError as error:
            raise ExportInputError(str(error)) from None
        return runner
    known = (row.suffix or f"a folder with {row.marker}" for row in (*FORMATS.values(), *SAVED))
    raise ExportInputError(f"{path} is not an artefact that can be run. Known: {', '.join(known)}.")


def _imported(address: str) -> Any:
    module, _, name = address.partition(":")
    return getattr(importlib.import_module(module), name)
