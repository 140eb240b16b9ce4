"""ONNX: for servers and for every runtime that is not TensorFlow's, in float32, float16 or quantised to 8 bits."""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kattn.apart import prepare_child
from kattn.export.apart import run_apart, save_arrays
from kattn.export.errors import ExportInputError
from kattn.export.formats import FORMATS
from kattn.export.pipeline import CHANGE, Job, export_model, refuse
from kattn.export.proof.delegates import support
from kattn.export.proof.report import Contents, Report
from kattn.export.proof.worst_layers import ERROR_IMAGES
from kattn.export.quiet import converting
from kattn.export.source.model import Source
from kattn.export.to_onnx import graph as onnx_graph
from kattn.export.to_onnx.convert import LARGEST_FILE, converted, in_half
from kattn.export.to_onnx.errors_by_layer import onnx_errors
from kattn.export.to_onnx.quantise import METHODS, quantise_file
from kattn.facts.pixels import range_in_words
from kattn.facts.recorded import as_texts, record_of
from kattn.facts.stated import BYTES
from kattn.version import __version__

OPSETS = range(13, 21)


def onnx(
    model: keras.Model,
    path: str | os.PathLike[str],
    *,
    layout: str = "nhwc",
    batch: int | None = None,
    opset: int = 17,
    precision: str = "float32",
    calibration: Any = None,
    calibration_images: int = 128,
    calibration_method: str = "percentile",
    float_layers: Sequence[str] = (),
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
    """Write an .onnx file that computes what the model computes, checked by ONNX's checker and in onnxruntime.

    Args:
        model: Built functional or Sequential Keras model.
        path: The file to write. A file of that name is replaced once the new one has passed its checks. The report is
            written beside it as `<path>.json`; weights above 2 GiB go to `<path>.data`.
        layout: Of the image and of maps among the outputs: "nhwc" as in Keras, or "nchw", which saves the graph its one
            Transpose.
        batch: Fixed batch size; None leaves it open (the dimension is called "batch").
        opset: 13 to 20.
        precision: "float32"; "float16" (weights and arithmetic; input and outputs stay float32); "int8" (QDQ: weights a
            channel in signed, activations in unsigned 8 bits, by onnxruntime's static quantisation).
        calibration: int8: real images as the model takes them: an array, a folder, a dataset; for several inputs a dict
            of arrays, or a dataset of such dicts.
        calibration_images: How many of them to take, at most.
        calibration_method: int8: the range of an activation over 97 % of the images ("percentile"), over all
            ("minmax"), or that of which least is lost ("entropy", onnxruntime's).
        float_layers: int8: names or patterns ("*_gate") of Keras layers to leave in float32.
        outputs: Names of the outputs to keep, or "all"; None keeps `predictions` where the model has it, else all.
        input_shape: (height, width, channels), for a model that leaves them open; None leaves them open here too.
        images: Images to compare on, as `calibration`; None takes those of the calibration, else random ones.
        kinds: What the outputs are, where the model does not say it: "classes", "binary", "attributes", "values",
            "map", "embedding" or "integers", for all of them or {output: kind}. Each is judged by its kind
            (`kattn.export.proof.kinds`).
        tolerance: Largest difference allowed, relative to the largest output value (at least 1). None: 1e-4 at float32,
            1e-2 at float16, unchecked at int8.
        min_agreement: Least share of images (or pixels) with the model's class, or its yes or no, of those on which the
            model is sure: it separates its two highest classes by more than 0.1. Also the least cosine of embeddings
            and the least share of equal whole numbers. None: 0.8 at int8, unchecked at the
            others; 0 switches the limits of 8 bits off.
        max_error: Largest root mean square error of an output, over how much the model's own differs from image to
            image; of probabilities it is that of the log-odds. None: 0.35 at int8,
            0.1 at float16, 0.01 at float32; infinity switches it off.
        strict: Refuse outputs that nothing judges, BatchNormalization, Shape and Cast nodes, and Gather nodes whose
            positions are computed. False turns these into warnings.
        allow: Operators that `strict` accepts, such as ("Gather",).
        overwrite: False refuses a path that exists.
        value_range, preprocess, resize, interpolation, labels: What is known of the model's input and classes, for
            images from files and for whoever opens the artefact; see `kattn.facts.stated.Stated`.

    Returns: The report.
    Raises: ExportInputError for a model, an argument or images that cannot be used; ExportError if the conversion
        fails, a check does not pass or the disk refuses; nothing is left behind then.
    """
    if layout not in ("nhwc", "nchw"):
        raise ExportInputError(f'layout must be "nhwc" or "nchw". Received: {layout!r}')
    if opset not in OPSETS:
        raise ExportInputError(f"opset must be {OPSETS.start} to {OPSETS.stop - 1}. Received: {opset!r}")
    if calibration_method not in METHODS:
        raise ExportInputError(
            f"calibration_method must be one of {', '.join(METHODS)}. Received: {calibration_method!r}"
        )
    prepare_child("onnxruntime")  # while the network is traced here
    return export_model(
        FORMATS["onnx"],
        functools.partial(_write, layout=layout, opset=opset, method=calibration_method, strict=strict, allow=allow),
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


def _write(job: Job, *, layout: str, opset: int, method: str, strict: bool, allow: Sequence[str]) -> Contents:
    import onnx as onnx_package

    source, path = job.source, job.stage.path
    graph = converted(source, layout=layout, batch=job.batch, opset=opset)
    onnx_graph.refuse_unknown(graph, layer_of=source.layer_of)
    found = onnx_graph.findings(graph, layer_of=source.layer_of, open_sizes=source.open)
    way_out = f"Fix the batch (batch=1), {CHANGE.lower()}" if job.batch is None and "Shape" in found else CHANGE
    problem = "The ONNX graph holds what slows it down or ties it to a shape"
    refuse(found, problem, strict=strict, allow=allow, way_out=way_out)
    warnings = list(found.values())
    exact = job.stage.scratch / "float.onnx"
    if job.precision != "float32":
        onnx_package.save(graph, str(exact))
    if job.precision == "float16":
        graph = in_half(graph)
    elif job.calibration is not None:
        samples = in_layout(source.cast(job.calibration), layout)
        quantised = job.stage.scratch / "int8.onnx"
        shutil.copyfile(exact, quantised)
        unquantised = run_apart(
            f"{quantise_file.__module__}:{quantise_file.__name__}",
            "onnxruntime's quantisation",
            path=str(quantised),
            samples=save_arrays(job.stage.scratch / "samples.npz", samples),
            method=method,
            excluded=[node.name for node in graph.graph.node if source.layer_of(node.name) in job.float_layers],
        )
        graph = onnx_package.load(str(quantised))
        if unquantised:
            layers = ", ".join(dict.fromkeys(map(source.layer_of, unquantised)))
            warnings.insert(0, f"operators whose bias 8 bits would have lost were left in float32 (layers: {layers})")
    _describe(graph, source, layout)
    with converting("Writing the ONNX file"):
        _save(graph, path)
    onnx_graph.check(path)
    ops = onnx_graph.histogram(graph)
    transposes = ops.get("Transpose", 0)
    if transposes > onnx_graph.TRANSPOSES:
        warnings.append(f"{transposes} Transpose nodes, where {onnx_graph.TRANSPOSES} are usual")
    operators = [(node.op_type, [node.name]) for node in graph.graph.node]

    def find_layers() -> list[dict[str, Any]]:
        few = source.cast({name: array[:ERROR_IMAGES] for name, array in job.images.items()})
        rows = run_apart(
            f"{onnx_errors.__module__}:{onnx_errors.__name__}",
            "onnxruntime",
            exact_path=str(exact),
            rough_path=str(path),
            samples=save_arrays(job.stage.scratch / "few.npz", in_layout(few, layout)),
        )
        return [row | {"layer": source.layer_of(row["layer"])} for row in rows]

    return Contents(
        ops=ops,
        inputs=onnx_graph.describe(graph.graph.input),
        outputs=onnx_graph.describe(graph.graph.output),
        checks={"onnx.checker": f"opset {opset}, full check", "Transpose": str(transposes)}
        | {name: _count(ops, name) for name in onnx_graph.UNWANTED if name not in found},
        warnings=warnings,
        delegates=support("onnx", operators, integer=job.precision == "int8", layer_of=source.layer_of),
        packages=("onnx", "tf2onnx", "onnxslim", "onnxruntime"),
        find_layers=find_layers if job.precision != "float32" else None,
    )


def in_layout(samples: dict[str, np.ndarray], layout: str) -> dict[str, np.ndarray]:
    """Images as the graph takes them."""
    if layout == "nhwc":
        return samples
    return {name: array.transpose(0, 3, 1, 2) if array.ndim == 4 else array for name, array in samples.items()}


def _count(ops: dict[str, int], name: str) -> str:
    """A number for the report; in float16 the only casts are those of the inputs and outputs."""
    return f"{ops[name]}, at the inputs and outputs" if name in ops else "0"


def _describe(graph: Any, source: Source, layout: str) -> None:
    """What a reader of the file needs to know, inside the file."""
    graph.producer_name = "kattn"
    graph.producer_version = __version__
    known = source.image.value_range
    takes = range_in_words(known) if known.known else "images as the Keras model does"
    graph.doc_string = f"{source.model.name}: takes {takes}"
    del graph.metadata_props[:]
    pixels = "0-255" if known.value == BYTES else "as trained"
    for key, value in {"layout": layout, "pixels": pixels, **as_texts(record_of(source.description))}.items():
        entry = graph.metadata_props.add()
        entry.key, entry.value = key, value


def _save(graph: Any, path: Path) -> None:
    """One file, or with weights of more than 2 GiB a second one beside it."""
    import onnx

    weights = sum(len(tensor.raw_data) for tensor in graph.graph.initializer)
    # With save_as_external_data=False the location is not looked at.
    onnx.save(graph, str(path), save_as_external_data=weights > LARGEST_FILE, location=f"{path.name}.data")
