"""TFLite (LiteRT): for phones and small boards, in float32, float16, with 8-bit weights, or in integers throughout."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from kattn.export.errors import ExportError, ExportInputError
from kattn.export.proof.canary import run_apart
from kattn.export.proof.certify import certify, comparison_images
from kattn.export.proof.delegates import support, xnnpack
from kattn.export.proof.report import Report
from kattn.export.proof.staging import staged
from kattn.export.quiet import converting
from kattn.export.ranges import SHARES
from kattn.export.source.preparing import Source, prepare
from kattn.export.source.samples import collect
from kattn.export.to_saved_model.export import write_saved_model
from kattn.export.to_tflite.convert import INTEGER, convert
from kattn.export.to_tflite.graph import Tensor, TFLiteGraph, findings, read_tflite
from kattn.export.to_tflite.names import named_tensors
from kattn.export.to_tflite.quantisation import tflite_errors
from kattn.layers.pieces.portable import portable_graphs

PRECISIONS = ("float32", "float16", "dynamic", "int16", "int8")
ERROR_IMAGES = 8  # to look for the layers where 8 bits lose accuracy
IO_TYPES = {"int8": ("int8", "uint8", "float32"), "int16": ("int16", "float32")}


def tflite(
    model: keras.Model,
    path: str | os.PathLike[str],
    *,
    precision: str = "float32",
    calibration: Any = None,
    calibration_images: int = 256,
    calibration_method: str = "percentile",
    io_type: str | None = None,
    float_layers: Sequence[str] = (),
    batch: int | None = 1,
    outputs: str | Sequence[str] | None = None,
    input_shape: Sequence[int] | None = None,
    images: Any = None,
    tolerance: float | None = None,
    min_agreement: float | None = None,
    strict: bool = True,
    allow: Sequence[str] = (),
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
            read: an array, a folder, a dataset (see `kattn.export.source.samples.collect`).
        calibration_images: How many of them to take, at most.
        calibration_method: int8: the range of an activation over 97 % of the images ("percentile") or over all
            ("minmax"): one image with values three times as large as all others costs these more than a bit.
        io_type: int8: type of the artefact's input and outputs, "int8", "uint8" or "float32"; int16: "int16" or
            "float32". None: the precision's own.
        float_layers: int8: names or patterns ("*_gate") of Keras layers to leave in float32.
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
        overwrite: False refuses a path that exists.

    Returns: The report.
    Raises: ExportInputError for a model, an argument or images that cannot be used; ExportError if the conversion
        fails, a check does not pass or the disk refuses; nothing is left behind then.
    """
    started = time.perf_counter()
    _check_arguments(precision, io_type, batch, calibration_method)
    source = prepare(model, outputs, input_shape)
    samples = None
    if precision in INTEGER:
        samples = collect(calibration, source.shape, limit=calibration_images, pixels=source.pixels)
    kept = source.layers_named(float_layers)
    chosen, origin = comparison_images(source, images, samples)
    target = Path(path)
    with staged(target, suffix=".tflite", overwrite=overwrite) as stage:
        folder = stage.scratch / "model"
        with portable_graphs(integers=precision in INTEGER):
            write_saved_model(source, folder, batch=batch)
        converted = convert(
            source,
            folder,
            precision=precision,
            batch=batch,
            io_type=io_type,
            samples=samples,
            method=calibration_method,
            float_layers=kept,
        )
        stage.path.write_bytes(converted.content)
        if precision in INTEGER:
            run_apart(stage.path)
        graph = read_tflite(stage.path)
        found = findings(
            graph,
            fixed_batch=batch is not None,
            integer=precision in INTEGER,
            layer_of=source.layer_of,
            float_layers=kept,
        )
        refused = [text for key, text in found.items() if key.split(":")[0] not in allow]
        if strict and refused:
            raise ExportError(
                f"The .tflite file would not run everywhere: {'; '.join(refused)}. Change the layers named, or pass "
                "strict=False (or allow=) to have the file with these as warnings."
            )
        layers = []
        if converted.calibrated is not None:
            (stage.scratch / "float.tflite").write_bytes(named_tensors(converted.calibrated))
            layers = tflite_errors(
                stage.scratch / "float.tflite", stage.path, chosen[:ERROR_IMAGES].astype(source.dtype), source.layer_of
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
            warnings=[*converted.notes, *found.values()],
            layers=layers,
            delegates=_delegates(stage.path, graph, source, integer=precision in INTEGER),
            inputs={tensor.name: _described(tensor) for tensor in graph.inputs},
            outputs={tensor.name: _described(tensor) for tensor in graph.outputs},
            packages=("ai-edge-litert",),
            batches=() if batch else (1, 2),
        )
        report.seconds = round(time.perf_counter() - started, 3)
        report.write(stage.report_path)
    return report


def _check_arguments(precision: str, io_type: str | None, batch: int | None, method: str) -> None:
    if precision not in PRECISIONS:
        raise ExportInputError(f"precision must be one of {', '.join(PRECISIONS)}. Received: {precision!r}")
    if method not in SHARES:
        raise ExportInputError(f"calibration_method must be one of {', '.join(SHARES)}. Received: {method!r}")
    types = IO_TYPES.get(precision, ("float32",))
    if io_type is not None and io_type not in types:
        raise ExportInputError(f"io_type at {precision} must be one of {', '.join(types)}. Received: {io_type!r}")
    if batch is not None and (not isinstance(batch, int) or batch < 1):
        raise ExportInputError(f"batch must be a positive number, or None for any. Received: {batch!r}")


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


def _delegates(path: Path, graph: TFLiteGraph, source: Source, *, integer: bool) -> dict[str, Any]:
    """What accelerators take of the file: XNNPACK as seen here, the others by their tables."""
    listed = [(o.name, [tensor.name for tensor in (*o.outputs, *o.inputs)]) for o in graph.operators]
    with converting("ai-edge-litert"):
        seen = xnnpack(path, source.layer_of)
    return {"XNNPACK": seen, **support("tflite", listed, integer=integer, layer_of=source.layer_of)}
