"""TFLite (LiteRT): for phones and small boards, in float32, float16, with 8-bit weights, or in integers throughout."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kattn.export.canary import run_apart
from kattn.export.certify import certify, comparison_images
from kattn.export.errors import ExportError, ExportInputError
from kattn.export.images import collect, spans_pixels
from kattn.export.names import INPUT
from kattn.export.quiet import converting
from kattn.export.report import Report
from kattn.export.source import Source, prepare
from kattn.export.staging import staged
from kattn.export.tflite_calibrate import quantise, widen_dead_ranges
from kattn.export.tflite_graph import Tensor, TFLiteGraph, findings, read_tflite
from kattn.export.tflite_names import named_tensors
from kattn.export.to_saved_model import write_saved_model

PRECISIONS = ("float32", "float16", "dynamic", "int16", "int8")
INTEGER = ("int16", "int8")
IO_TYPES = {"int8": ("int8", "uint8", "float32"), "int16": ("int16", "float32")}


def tflite(
    model: keras.Model,
    path: str | os.PathLike[str],
    *,
    precision: str = "float32",
    calibration: Any = None,
    calibration_images: int = 256,
    io_type: str | None = None,
    batch: int | None = 1,
    outputs: str | Sequence[str] | None = None,
    input_shape: Sequence[int] | None = None,
    images: Any = None,
    tolerance: float | None = None,
    min_agreement: float | None = None,
    strict: bool = True,
    allow: Sequence[str] = (),
    select_tf_ops: bool = False,
    overwrite: bool = True,
) -> Report:
    """Write a .tflite file that computes what the model computes, checked in ai-edge-litert.

    Args:
        model: Built functional or Sequential Keras model with one input.
        path: The file to write. A file of that name is replaced once the new one has passed its checks. The report is
            written beside it as `<path>.json`.
        precision: "float32"; "float16" (half the size, weights in half precision); "dynamic" (8-bit weights,
            activations quantised at run time); "int8" (weights a channel and activations in 8 bits, integers
            throughout); "int16" (8-bit weights, 16-bit activations).
        calibration: int8 and int16: real images as the model takes them, from which the ranges of all activations are
            read: an array, a folder, a dataset (see `kattn.export.images.collect`).
        calibration_images: How many of them to take, at most.
        io_type: int8: type of the artefact's input and outputs, "int8", "uint8" or "float32"; int16: "int16" or
            "float32". None: the precision's own.
        batch: Fixed batch size. None leaves it open, which delegates on phones refuse.
        outputs: Names of the outputs to keep, or "all"; None keeps `predictions` where the model has it, else all.
        input_shape: (height, width, channels), for a model that leaves them open.
        images: Images to compare on; None takes those of the calibration, else random ones.
        tolerance: Largest difference allowed, relative to the largest output value (at least 1). None: 1e-4 at float32,
            1e-2 at float16, unchecked at the others.
        min_agreement: Least share of images with the model's highest class, of those on which the model separates its
            two highest by more than 0.1. None: 0.9 at dynamic and int16, 0.8 at int8, unchecked at the others; 0
            switches it off.
        strict: Refuse operators outside TensorFlow Lite, tensors of more than 4 dimensions, shapes known at run time
            only (at a fixed batch) and, in integers, operators left in floating point. False turns these into warnings.
        allow: Operators that `strict` accepts, such as ("GATHER",).
        select_tf_ops: Let the converter fall back to TensorFlow's kernels (Flex), which need their own runtime.
        overwrite: False refuses a path that exists.

    Returns: The report.
    Raises: ExportInputError for a model, an argument or images that cannot be used; ExportError if the conversion
        fails, a check does not pass or the disk refuses; nothing is left behind then.
    """
    started = time.perf_counter()
    _check_arguments(precision, io_type, batch)
    source = prepare(model, outputs, input_shape)
    samples = None
    if precision in INTEGER:
        samples = collect(calibration, source.shape, limit=calibration_images, pixels=source.pixels)
    chosen, origin = comparison_images(source, images, samples)
    target = Path(path)
    with staged(target, folder=False, overwrite=overwrite) as stage:
        folder = stage.scratch / "model"
        write_saved_model(source, folder, batch=batch)
        content, notes = _convert(source, folder, precision, io_type, samples, select_tf_ops)
        stage.path.write_bytes(content)
        if precision in INTEGER:
            run_apart(stage.path)
        graph = read_tflite(stage.path)
        found = findings(
            graph,
            fixed_batch=batch is not None,
            integer=precision in INTEGER,
            select_tf_ops=select_tf_ops,
            layer_of=source.layer_of,
        )
        refused = [text for key, text in found.items() if key.split(":")[0] not in allow]
        if strict and refused:
            raise ExportError(
                f"The .tflite file would not run everywhere: {'; '.join(refused)}. Change the layers named, or pass "
                "strict=False (or allow=) to have the file with these as warnings."
            )
        report = certify(
            source,
            stage.path,
            target,
            precision=precision,
            images=chosen,
            origin=origin,
            tolerance=tolerance,
            min_agreement=min_agreement,
            ops=graph.histogram,
            checks=_checks(graph, found, fixed_batch=batch is not None, integer=precision in INTEGER),
            warnings=[*notes, *found.values()],
            inputs={tensor.name: _described(tensor) for tensor in graph.inputs},
            outputs={tensor.name: _described(tensor) for tensor in graph.outputs},
            packages=("ai-edge-litert",),
            batches=() if batch else (1, 2),
        )
        report.seconds = round(time.perf_counter() - started, 3)
        report.write(stage.report_path)
    return report


def _check_arguments(precision: str, io_type: str | None, batch: int | None) -> None:
    if precision not in PRECISIONS:
        raise ExportInputError(f"precision must be one of {', '.join(PRECISIONS)}. Received: {precision!r}")
    types = IO_TYPES.get(precision, ("float32",))
    if io_type is not None and io_type not in types:
        raise ExportInputError(f"io_type at {precision} must be one of {', '.join(types)}. Received: {io_type!r}")
    if batch is not None and (not isinstance(batch, int) or batch < 1):
        raise ExportInputError(f"batch must be a positive number, or None for any. Received: {batch!r}")


def _convert(
    source: Source, folder: Path, precision: str, io_type: str | None, samples: np.ndarray | None, select_tf_ops: bool
) -> tuple[bytes, list[str]]:
    """The flatbuffer of a SavedModel whose batch is as the file's is to be, and what was mended on the way."""
    import tensorflow as tf

    ops = tf.lite.OpsSet
    supported = {
        "int8": ops.TFLITE_BUILTINS_INT8,
        "int16": ops.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
    }.get(precision, ops.TFLITE_BUILTINS)
    number = getattr(tf, io_type or precision) if precision in INTEGER else None
    notes: list[str] = []
    try:
        with converting("TensorFlow Lite's converter"):
            converter = tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=["serving_default"])
            converter.target_spec.supported_ops = [supported, *([ops.SELECT_TF_OPS] if select_tf_ops else [])]
            if precision != "float32":
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
            if precision == "float16":
                converter.target_spec.supported_types = [tf.float16]
            if samples is not None:
                converter.representative_dataset = lambda: _representative(source, samples)
                converter.inference_input_type = converter.inference_output_type = number
            # As TensorFlow's own quantisation debugger does: stop at the ranges, which are then looked at.
            converter._experimental_calibrate_only = precision == "int8"
            content = converter.convert()
            if precision == "int8":
                content, widened = widen_dead_ranges(content)
                content = quantise(content, number)
                if widened:
                    layers = ", ".join(dict.fromkeys(map(source.layer_of, widened)))
                    notes.append(f"units that no calibration image woke were given a small range (layers: {layers})")
    except ExportError as error:
        raise _named_error(source, error) from error
    return named_tensors(content), notes


def _representative(source: Source, samples: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
    for image in spans_pixels(samples) if source.pixels else samples:
        yield {INPUT: image[None].astype(source.dtype)}


def _named_error(source: Source, error: ExportError) -> ExportError:
    """The converter's error, led by the layers whose operators it does not know."""
    text = str(error)
    unknown = set(re.findall(r"'tf\.(\w+)' op is neither", text))
    for listed in re.findall(r"(?:TF Select ops|Custom ops): ([\w, ]+)", text):
        unknown.update(name.strip() for name in listed.split(",") if name.strip())
    if not unknown:
        return error
    layers = source.layers_with(unknown)
    where = f" (layers: {', '.join(layers)})" if layers else ""
    return ExportError(
        f"TensorFlow Lite has no operator for {', '.join(sorted(unknown))}{where}. Replace these layers, or pass "
        f"select_tf_ops=True for a file that needs TensorFlow's kernels beside it.\n{text}"
    )


def _described(tensor: Tensor) -> dict[str, Any]:
    described: dict[str, Any] = {"shape": list(tensor.signature), "dtype": tensor.dtype.lower()}
    if tensor.scale:
        described |= {"scale": tensor.scale[0], "zero_point": tensor.zero_point[0]}
    return described


def _checks(graph: TFLiteGraph, found: dict[str, str], *, fixed_batch: bool, integer: bool) -> dict[str, str]:
    """What was looked for and not found; what was found and let pass is among the warnings."""
    asked = {
        "operators": ("builtins only", ("TensorFlow's own kernels", "outside TensorFlow Lite")),
        "dimensions": (f"at most {graph.highest_rank}", ("dimensions",)),
    }
    if fixed_batch:
        asked["shapes"] = ("all known before it runs", ("at run time",))
    if integer:
        asked["floating point"] = ("none between input and output", ("floating point",))
    return {
        check: said
        for check, (said, words) in asked.items()
        if not any(word in text for text in found.values() for word in words)
    }
