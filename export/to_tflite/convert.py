"""From a SavedModel to a flatbuffer: TensorFlow Lite's converter, and what its result needs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kattn.export.errors import ExportError
from kattn.export.quiet import converting
from kattn.export.source.model import Source
from kattn.export.source.names import INPUT, first_layers
from kattn.export.source.samples import spanned
from kattn.export.to_tflite.calibrate import quantise, with_measured_ranges
from kattn.export.to_tflite.graph import parse_tflite, read_tflite
from kattn.export.to_tflite.names import named_tensors

INTEGER = ("int16", "int8")


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
    samples: np.ndarray | None = None,
    method: str = "percentile",
    float_layers: Sequence[str] = (),
) -> Converted:
    """Convert a SavedModel whose batch is as the file's is to be.

    Args:
        source: Of the SavedModel.
        folder: The SavedModel.
        precision, batch, io_type: As in `kattn.export.tflite`.
        samples: Calibration images, at int8 and int16.
        method: Of the calibration, at int8.
        float_layers: Names of layers to leave in float32 at int8.

    Raises: ExportError with the layers that TensorFlow Lite has no operator for, or whatever the converter says.
    """
    import tensorflow as tf

    ops = tf.lite.OpsSet
    supported = {
        "int8": ops.TFLITE_BUILTINS_INT8,
        "int16": ops.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
    }.get(precision, ops.TFLITE_BUILTINS)
    number = getattr(tf, io_type or precision) if precision in INTEGER else None
    try:
        with converting("TensorFlow Lite's converter"):
            converter = tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=["serving_default"])
            converter.target_spec.supported_ops = [supported]
            if precision != "float32":
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
            if precision == "float16":
                converter.target_spec.supported_types = [tf.float16]
            if samples is not None:
                # At int8 the ranges are measured below, and the converter needs to see only which tensors have one.
                first = samples[:1] if precision == "int8" else samples
                converter.representative_dataset = lambda: _representative(source, first, batch or 1)
                converter.inference_input_type = converter.inference_output_type = number
            # As TensorFlow's own quantisation debugger does: stop at the ranges, which are then looked at.
            converter._experimental_calibrate_only = precision == "int8"
            content = converter.convert()
            if precision != "int8":
                return Converted(named_tensors(content))
            assert samples is not None
            images = (batch[INPUT] for batch in _representative(source, samples, batch or 1))
            calibrated, constant = with_measured_ranges(content, images, method)
            names = [tensor.name for o in parse_tflite(calibrated).operators for tensor in o.outputs]
            content = quantise(calibrated, number, [n for n in names if source.layer_of(n) in float_layers])
    except ExportError as error:
        raise _missing_16_bit(source, folder, error) or _named_error(source, error) from error
    layers = ", ".join(dict.fromkeys(map(source.layer_of, constant)))
    notes = [f"units that no calibration image woke were given a small range (layers: {layers})"] if constant else []
    return Converted(named_tensors(content), calibrated, notes)


def _representative(source: Source, samples: np.ndarray, batch: int) -> Iterator[dict[str, np.ndarray]]:
    """Batches of the file's size, the last one filled up from the beginning."""
    images = spanned(samples, source.span).astype(source.dtype)
    for start in range(0, len(images), batch):
        yield {INPUT: np.take(images, range(start, start + batch), axis=0, mode="wrap")}


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
