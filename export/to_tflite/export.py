"""TFLite (LiteRT): for phones and small boards, in float32, float16, with 8-bit weights, or in integers throughout."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from kattn.apart import prepare_child
from kattn.export.apart import run_apart, save_arrays
from kattn.export.errors import ExportInputError
from kattn.export.formats import FORMATS
from kattn.export.pipeline import CHANGE, Job, export_model, refuse
from kattn.export.proof.delegates import support
from kattn.export.proof.report import Contents, Report
from kattn.export.proof.worst_layers import ERROR_IMAGES
from kattn.export.ranges import SHARES
from kattn.export.source.model import Source
from kattn.export.source.names import first_layers
from kattn.export.to_saved_model.export import write_saved_model
from kattn.export.to_tflite.convert import INTEGER, convert
from kattn.export.to_tflite.findings import findings, in_floats
from kattn.export.to_tflite.graph import Tensor, TFLiteGraph, read_tflite
from kattn.export.to_tflite.names import named_tensors
from kattn.layers.pieces.portable import portable_graphs

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
    kinds: str | Mapping[str, str] | None = None,
    tolerance: float | None = None,
    min_agreement: float | None = None,
    max_error: float | None = None,
    strict: bool = True,
    allow: Sequence[str] = (),
    overwrite: bool = True,
    value_range: tuple[float, float] | None = None,
    preprocess: Callable[[Any], Any] | None = None,
    resize: str | None = None,
    interpolation: str | None = None,
    labels: Sequence[str] | str | Path | None = None,
) -> Report:
    """Write a .tflite file that computes what the model computes, checked in ai-edge-litert.

    Args:
        model: Built functional or Sequential Keras model.
        path: The file to write. A file of that name is replaced once the new one has passed its checks. The report is
            written beside it as `<path>.json`.
        precision: "float32"; "float16" (half the size, weights in half precision); "dynamic" (8-bit weights,
            activations quantised at run time); "int8" (weights a channel and activations in 8 bits, integers
            throughout); "int16" (8-bit weights, 16-bit activations).
        calibration: int8 and int16: real images as the model takes them, from which the ranges of all activations are
            read: an array, a folder, a dataset (see `kattn.export.source.samples.collect`); for several inputs a
            dict of arrays, or a dataset of such dicts.
        calibration_images: How many of them to take, at most.
        calibration_method: int8: the range of an activation over 97 % of the images ("percentile") or over all
            ("minmax"): one image with values three times as large as all others costs these more than a bit.
        io_type: int8: type of the artefact's input and outputs, "int8", "uint8" or "float32"; int16: "int16" or
            "float32". None: the precision's own.
        float_layers: int8: names or patterns ("*_gate") of Keras layers to leave in float32.
        batch: Fixed batch size. None leaves it open, which delegates on phones refuse.
        outputs: Names of the outputs to keep, or "all"; None keeps `predictions` where the model has it, else all.
        input_shape: (height, width, channels), for a model that leaves them open: a file has one size.
        images: Images to compare on, as `calibration`; None takes those of the calibration, else random ones.
        kinds: What the outputs are, where the model does not say it: "classes", "binary", "attributes", "values",
            "map", "embedding" or "integers", for all of them or {output: kind}. Each is judged by its kind
            (`kattn.export.proof.kinds`).
        tolerance: Largest difference allowed, relative to the largest output value (at least 1). None: 1e-4 at float32,
            1e-2 at float16, unchecked at the others.
        min_agreement: Least share of images (or pixels) with the model's class, or its yes or no, of those on which the
            model is sure: it separates its two highest classes by more than 0.1. Also the least cosine of embeddings
            and the least share of equal whole numbers. None: 0.9 at dynamic and int16, 0.8 at int8, unchecked at the
            others; 0 switches the limits of 8 bits off.
        max_error: Largest root mean square error of an output, over how much the model's own differs from image to
            image; of probabilities it is that of the log-odds. None: 0.3 at dynamic and int16, 0.35 at int8,
            0.1 at float16, 0.01 at float32; infinity switches it off.
        strict: Refuse outputs that nothing judges, operators outside TensorFlow Lite, tensors of more than 4
            dimensions, shapes known at run time only (at a fixed batch) and, in integers, operators left in floating
            point. False turns these into warnings.
        allow: Operators that `strict` accepts, such as ("GATHER",).
        overwrite: False refuses a path that exists.
        value_range, preprocess, resize, interpolation, labels: What is known of the model's input and classes, for
            images from files and for whoever opens the artefact; see `kattn.facts.stated.Stated`.

    Returns: The report.
    Raises: ExportInputError for a model, an argument or images that cannot be used; ExportError if the conversion
        fails, a check does not pass or the disk refuses; nothing is left behind then.
    """
    FORMATS["tflite"].check_precision(precision)
    if calibration_method not in SHARES:
        raise ExportInputError(
            f"calibration_method must be one of {', '.join(SHARES)}. Received: {calibration_method!r}"
        )
    types = IO_TYPES.get(precision, ("float32",))
    if io_type is not None and io_type not in types:
        raise ExportInputError(f"io_type at {precision} must be one of {', '.join(types)}. Received: {io_type!r}")
    prepare_child("tensorflow", "ai_edge_litert.interpreter")  # while the network is traced here
    return export_model(
        FORMATS["tflite"],
        functools.partial(_write, io_type=io_type, method=calibration_method, strict=strict, allow=allow),
        model,
        path,
        precision=precision,
        calibration=calibration,
        calibration_images=calibration_images,
        float_layers=float_layers,
        batch=batch,
        outputs=outputs,
        input_shape=input_shape,
        images=images,
        kinds=kinds,
        tolerance=tolerance,
        min_agreement=min_agreement,
        max_error=max_error,
        strict=strict,
        overwrite=overwrite,
        stated={
            "value_range": value_range,
            "preprocess": preprocess,
            "resize": resize,
            "interpolation": interpolation,
            "labels": labels,
        },
    )


def _write(job: Job, *, io_type: str | None, method: str, strict: bool, allow: Sequence[str]) -> Contents:
    source, path, scratch = job.source, job.stage.path, job.stage.scratch
    integer, fixed_batch = job.precision in INTEGER, job.batch is not None
    with portable_graphs(integers=integer):
        write_saved_model(source, scratch / "model", batch=job.batch)
    converted = convert(
        source,
        scratch / "model",
        precision=job.precision,
        batch=job.batch,
        io_type=io_type,
        samples=job.calibration,
        method=method,
        float_layers=job.float_layers,
    )
    path.write_bytes(converted.content)
    graph = read_tflite(path)
    found = findings(
        graph, fixed_batch=fixed_batch, integer=integer, layer_of=source.layer_of, float_layers=job.float_layers
    )
    refuse(
        found,
        "The .tflite file would not run everywhere",
        strict=strict,
        allow=allow,
        way_out=_way_out(graph, source) if integer else CHANGE,
    )

    def worst_layers(content: bytes) -> list[dict[str, Any]]:
        """Where the file differs from another one, which computes in float32."""
        exact = scratch / "float.tflite"
        exact.write_bytes(content)
        first = source.cast({name: array[:ERROR_IMAGES] for name, array in job.images.items()})
        rows = run_apart(
            "kattn.export.to_tflite.errors_by_layer:tflite_errors",
            "ai-edge-litert",
            exact_path=str(exact),
            rough_path=str(path),
            samples=save_arrays(scratch / "samples.npz", first),
        )
        return [row | {"layer": source.layer_of(row["layer"])} for row in rows]

    def find_layers() -> list[dict[str, Any]]:
        return worst_layers(convert(source, scratch / "model", precision="float32", batch=job.batch).content)

    operators = [(o.name, [tensor.name for tensor in (*o.outputs, *o.inputs)]) for o in graph.operators]
    observed = run_apart("kattn.export.to_tflite.xnnpack:xnnpack", "ai-edge-litert", path=str(path))
    observed["left"] = {name: first_layers(map(source.layer_of, left)) for name, left in observed["left"].items()}
    return Contents(
        ops=graph.histogram,
        inputs={tensor.name: _described(tensor) for tensor in graph.inputs},
        outputs={tensor.name: _described(tensor) for tensor in graph.outputs},
        checks=_checks(graph, found, fixed_batch=fixed_batch, integer=integer),
        warnings=[*converted.notes, *found.values()],
        layers=worst_layers(named_tensors(converted.calibrated)) if converted.calibrated is not None else (),
        find_layers=find_layers if job.precision in ("float16", "dynamic") else None,
        delegates={
            "XNNPACK": observed,
            **support("tflite", operators, integer=integer, layer_of=source.layer_of),
        },
        packages=("ai-edge-litert",),
    )


def _way_out(graph: TFLiteGraph, source: Source) -> str:
    """What to do about operators that have no integer form: they are left in float32 by the names of their layers."""
    names = [tensor.name for operator in graph.operators if in_floats(operator) for tensor in operator.outputs]
    layers = [layer for layer in dict.fromkeys(map(source.layer_of, names)) if layer in source.layers]
    return (
        f"Change the layers named, leave them in float32 with float_layers={layers}"
        if layers
        else "Change the layers named"
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
