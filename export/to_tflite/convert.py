"""From a SavedModel to a flatbuffer: TensorFlow Lite's converter in a child, and its errors with the layers' names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kattn.export.apart import ChildEnded, run_apart, save_arrays
from kattn.export.errors import ExportError
from kattn.export.source.model import Source
from kattn.export.source.names import first_layers
from kattn.export.source.samples import spanned
from kattn.export.to_tflite.findings import findings
from kattn.export.to_tflite.graph import parse_tflite, read_tflite
from kattn.export.to_tflite.names import named_tensors

INTEGER = ("int16", "int8")
TASKS, WHAT = "kattn.export.to_tflite.converter", "TensorFlow Lite's converter"


@dataclass(frozen=True)
class Converted:
    """A flatbuffer.

    Attributes:
        content: The file.
        calibrated: At int8, the float file with the ranges that it was quantised by.
        notes: What was mended on the way.
    """

    content: bytes
    calibrated: bytes | None = None
    notes: list[str] = field(default_factory=list)


def convert(
    source: Source,
    folder: Path,
    *,
    precision: str,
    batch: int | None = 1,
    io_type: str | None = None,
    samples: Mapping[str, np.ndarray] | None = None,
    method: str = "percentile",
    float_layers: Sequence[str] = (),
) -> Converted:
    """Convert a SavedModel whose batch is as the file's is to be.

    Args:
        source: Of the SavedModel.
        folder: The SavedModel; files are written beside it.
        precision, batch, io_type: As in `kattn.export.tflite`.
        samples: Calibration images for each input, at int8 and int16.
        method: Of the calibration, at int8.
        float_layers: Names of layers to leave in float32 at int8.

    Raises: ExportError with the layers that TensorFlow Lite has no operator for, or whatever the converter says.
    """
    target, arrays = folder.with_suffix(".converted"), None
    if samples is not None:
        images = {name: spanned(samples[name], taken.span) for name, taken in source.inputs.items()}
        arrays = save_arrays(folder.with_suffix(".npz"), source.cast(images))
    try:
        constant = run_apart(
            f"{TASKS}:convert_folder",
            WHAT,
            folder=str(folder),
            target=str(target),
            precision=precision,
            io_type=io_type,
            samples=arrays,
            batch=batch or 1,
            method=method,
        )
        content = target.read_bytes()
        if precision != "int8":
            return Converted(named_tensors(content))
        calibrated, names = content, [t.name for o in parse_tflite(content).operators for t in o.outputs]
        run_apart(
            f"{TASKS}:quantise_file",
            WHAT,
            path=str(target),
            target=str(target),
            io_type=io_type or precision,
            float_tensors=[name for name in names if source.layer_of(name) in float_layers],
        )
        content = target.read_bytes()
    except ChildEnded as error:
        raise _named_end(source, folder, precision, batch, error) from error
    except ExportError as error:
        raise _missing_16_bit(source, folder, error) or _named_error(source, error) from error
    layers = ", ".join(dict.fromkeys(map(source.layer_of, constant)))
    notes = [f"units that no calibration image woke were given a small range (layers: {layers})"] if constant else []
    return Converted(named_tensors(content), calibrated, notes)


def _named_end(source: Source, folder: Path, precision: str, batch: int | None, error: ChildEnded) -> ExportError:
    """The error for a converter that died, with the layers that it may have died of: what the float file has of them.

    TensorFlow's calibrator dies where a loop keeps a state, and of some tensors of more than 4 dimensions.
    """
    suspects = ""
    if precision != "float32":
        exact = folder.with_suffix(".tflite")
        exact.write_bytes(convert(source, folder, precision="float32", batch=batch).content)
        found = findings(read_tflite(exact), fixed_batch=batch is not None, integer=False, layer_of=source.layer_of)
        suspects = f" The model has what it may not bear: {'; '.join(found.values())}." if found else ""
    return ExportError(
        f'{error}{suspects} Write these layers with other operations, or take another precision, such as "float16".'
    )


def _missing_16_bit(source: Source, folder: Path, error: ExportError) -> ExportError | None:
    """The error for operators that have no 16-bit kernel, with the layers as the float file has them; None for others.

    The converter says one line for each such operator, without its place.
    """
    missing = set(re.findall(r"not yet supported for op: '(\w+)'", str(error)))
    if not missing:
        return None
    exact = folder.with_suffix(".tflite")
    exact.write_bytes(convert(source, folder, precision="float32").content)
    outputs = [tensor.name for o in read_tflite(exact).operators if o.name in missing for tensor in o.outputs]
    layers = ", ".join(first_layers(map(source.layer_of, outputs)))
    return ExportError(
        f'TensorFlow Lite has no 16-bit {", ".join(sorted(missing))} (layers: {layers}). Take precision="int8" or '
        '"float16", or write these layers with other operations.'
    )


def _named_error(source: Source, error: ExportError) -> ExportError:
    """The converter's error, led by the layers whose operators it does not know."""
    text = str(error)
    unknown = set(re.findall(r"'tf\.(\w+)' op is neither", text))
    for names in re.findall(r"(?:TF Select ops|Custom ops): ([\w, ]+)", text):
        unknown.update(name.strip() for name in names.split(",") if name.strip())
    if not unknown:
        return error
    layers = source.layers_with(unknown)
    where = f" (layers: {', '.join(layers)})" if layers else ""
    return ExportError(
        f"TensorFlow Lite has no operator for {', '.join(sorted(unknown))}{where}. Write these layers with other "
        "operations: a file that needs TensorFlow's own kernels (Flex) cannot be run here, nor on most phones.\n"
        f"{text}"
    )
