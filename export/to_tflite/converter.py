"""What the child does for TFLite (`kattn.apart`): TensorFlow's converter and calibrator, and the first runs.

All of it may end the process: the calibrator does where a loop keeps a state, kernels do on scales that they cannot
work with. Arguments and results are what JSON holds; arrays go by files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from kattn.export.apart import load_arrays
from kattn.export.quiet import converting
from kattn.export.to_tflite.calibrate import quantise, with_measured_ranges

Progress = Callable[[int, int], None]


def convert_folder(
    folder: str,
    target: str,
    precision: str,
    io_type: str | None,
    samples: str | None,
    batch: int,
    method: str,
    progress: Progress,
) -> list[str]:
    """Convert a SavedModel; at int8 as far as a float file with the ranges that it is to be quantised by.

    Args:
        folder, target: The SavedModel, and the file to write.
        precision, io_type, batch, method: As in `kattn.export.tflite`.
        samples: An .npz file with the calibration images of each input.

    Returns: Names of the tensors in which nothing moved (see `with_measured_ranges`).
    """
    import tensorflow as tf

    ops = tf.lite.OpsSet
    supported = {
        "int8": ops.TFLITE_BUILTINS_INT8,
        "int16": ops.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
    }.get(precision, ops.TFLITE_BUILTINS)
    with converting("TensorFlow Lite's converter"):
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["serving_default"])
        converter.target_spec.supported_ops = [supported]
        if precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if samples is None:
            Path(target).write_bytes(converter.convert())
            return []
        arrays = load_arrays(samples)
        # At int8 the ranges are measured below, and the converter needs to see only which tensors have one.
        first = {name: array[:1] for name, array in arrays.items()} if precision == "int8" else arrays
        converter.representative_dataset = lambda: _batches(first, batch)
        converter.inference_input_type = converter.inference_output_type = getattr(tf, io_type or precision)
        # As TensorFlow's own quantisation debugger does: stop at the ranges, which are then looked at.
        converter._experimental_calibrate_only = precision == "int8"
        content: bytes = converter.convert()
        constant: list[str] = []
        if precision == "int8":
            content, constant = with_measured_ranges(content, _batches(arrays, batch, progress), method)
        Path(target).write_bytes(content)
        return constant


def quantise_file(path: str, target: str, io_type: str, float_tensors: Sequence[str]) -> None:
    """A calibrated file in 8-bit integers: see `calibrate.quantise`."""
    import tensorflow as tf

    with converting("TensorFlow Lite's quantiser"):
        content = quantise(Path(path).read_bytes(), getattr(tf, io_type), float_tensors)
    Path(target).write_bytes(content)


def _batches(
    arrays: dict[str, np.ndarray], batch: int, progress: Progress | None = None
) -> Iterator[dict[str, np.ndarray]]:
    """Batches of the file's size, the last one filled up from the beginning."""
    count = len(next(iter(arrays.values())))
    for start in range(0, count, batch):
        yield {name: np.take(array, range(start, start + batch), axis=0, mode="wrap") for name, array in arrays.items()}
        if progress is not None:
            progress(min(start + batch, count), count)
