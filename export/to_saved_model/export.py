"""SavedModel: for TensorFlow Serving and for whatever starts from TensorFlow's own format."""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from kattn.export.errors import ExportInputError
from kattn.export.formats import FORMATS
from kattn.export.pipeline import Job, export_model
from kattn.export.proof.report import Contents, Report
from kattn.export.quiet import converting
from kattn.export.source.model import Source
from kattn.export.source.names import INPUT
from kattn.facts.pixels import require_range
from kattn.facts.stated import BYTES

METHODS = {"nearest": "nearest", "box": "area", "bilinear": "bilinear", "bicubic": "bicubic", "lanczos": "lanczos3"}
SIGNATURES = ("float32", "uint8", "jpeg")
NO_WORK = ("Placeholder", "Const", "Identity", "NoOp", "ReadVariableOp")


def saved_model(
    model: keras.Model,
    path: str | os.PathLike[str],
    *,
    outputs: str | Sequence[str] | None = None,
    input_shape: Sequence[int] | None = None,
    signatures: Sequence[str] = ("float32",),
    batch: int | None = None,
    images: Any = None,
    kinds: str | Mapping[str, str] | None = None,
    tolerance: float | None = None,
    overwrite: bool = True,
    value_range: tuple[float, float] | None = None,
    preprocess: Callable[[Any], Any] | None = None,
    resize: str | None = None,
    interpolation: str | None = None,
    labels: Sequence[str] | str | Path | None = None,
) -> Report:
    """Write a SavedModel that computes what the model computes; it loads with TensorFlow alone, without kattn or Keras.

    Args:
        model: Built functional or Sequential Keras model.
        path: The folder to write. A SavedModel of that name is replaced once the new one has passed its checks. The
            report is written beside it as `<path>.json`.
        outputs: Names of the outputs to keep, or "all"; None keeps `predictions` where the model has it, else all.
        input_shape: (height, width, channels), for a model that leaves them open; None leaves them open here too.
        signatures: "float32" is `serving_default` (image -> predictions) and always there; "uint8" adds
            `serving_uint8`, which takes images of bytes; "jpeg" adds `serving_jpeg`, which takes encoded JPEG strings,
            (batch,), and brings them to the model's size as `resize` says. Both bring the bytes to the range that the
            model takes, which has to be known (`value_range`).
        batch: A fixed batch size; None leaves it open.
        images: Images to compare on (array, dataset, folder, for several inputs a dict of arrays); None makes random
            ones.
        kinds: What the outputs are, where the model does not say it: "classes", "binary", "attributes", "values",
            "map", "embedding" or "integers", for all of them or {output: kind}. Each is judged by its kind
            (`kattn.export.proof.kinds`).
        tolerance: Largest difference allowed, relative to the largest output value (at least 1). None: 1e-4.
        overwrite: False refuses a path that exists.
        value_range, preprocess, resize, interpolation, labels: What is known of the model's input and classes, for
            images from files and for whoever opens the artefact; see `kattn.facts.stated.Stated`.

    Returns: The report.
    Raises: ExportInputError for a model or an argument that cannot be exported; ExportError if the artefact is not
        right or could not be written; nothing is left behind then.
    """
    unknown = sorted(set(signatures) - set(SIGNATURES))
    if unknown or isinstance(signatures, str):
        raise ExportInputError(f"signatures must be some of {', '.join(SIGNATURES)}. Received: {signatures!r}")
    return export_model(
        FORMATS["saved_model"],
        functools.partial(_write, signatures=signatures),
        model,
        path,
        batch=batch,
        outputs=outputs,
        input_shape=input_shape,
        images=images,
        kinds=kinds,
        tolerance=tolerance,
        overwrite=overwrite,
        stated={
            "value_range": value_range,
            "preprocess": preprocess,
            "resize": resize,
            "interpolation": interpolation,
            "labels": labels,
        },
    )


def _write(job: Job, *, signatures: Sequence[str]) -> Contents:
    source = job.source
    if len(source.inputs) > 1 and set(signatures) - {"float32"}:
        raise ExportInputError(
            f"The signatures uint8 and jpeg take one image; the model takes {len(source.inputs)} inputs."
        )
    ops = write_saved_model(source, job.stage.path, batch=job.batch, signatures=signatures)
    outputs = source.model.output
    return Contents(
        ops=ops,
        inputs={n: {"shape": [job.batch, *taken.shape], "dtype": taken.dtype} for n, taken in source.inputs.items()},
        outputs={
            name: {"shape": [job.batch, *outputs[name].shape[1:]], "dtype": _dtype(outputs[name])}
            for name in source.outputs
        },
        checks={"loads in": "tensorflow"},
    )


def _dtype(output: Any) -> str:
    return "float32" if "float" in output.dtype else str(output.dtype)


def write_saved_model(
    source: Source, folder: Path, *, batch: int | None, signatures: Sequence[str] = ("float32",)
) -> dict[str, int]:
    """Write the folder and return the histogram of TensorFlow's operators, those that only pass values on left out.

    The folder holds the traced network and its variables and nothing of Keras: half the size of `keras.export`'s, and
    three times as fast to write.
    """
    import tensorflow as tf

    with converting("Writing the SavedModel"):
        endpoints = {"serving_default": _traced(source.function(), *source.signature(batch))}
        if "uint8" in signatures:
            spec = tf.TensorSpec((batch, *source.shape), "uint8", name=INPUT)
            endpoints["serving_uint8"] = _traced(_from_uint8(source), spec)
        if "jpeg" in signatures:
            endpoints["serving_jpeg"] = _traced(_from_jpeg(source), tf.TensorSpec((batch,), tf.string, name="jpeg"))
        module = tf.Module()
        module.variables_ = [weight.value for weight in source.model.weights]
        handles = {id(variable.handle) for variable in module.variables_}
        captured = [t for function in endpoints.values() for t in function.captured_inputs]
        if any(tensor.dtype == tf.resource and id(tensor) not in handles for tensor in captured):
            module.model = source.model  # look-up tables and whatever else its layers hold
        tf.saved_model.save(module, str(folder), signatures=endpoints)
        graph = endpoints["serving_default"].graph.as_graph_def()
    return dict(Counter(node.op for node in graph.node if node.op not in NO_WORK).most_common())


def _traced(function: Any, *specs: Any) -> Any:
    """A plain function of tensors as one graph; nothing in it is Python control flow for autograph to translate."""
    import tensorflow as tf

    return tf.function(function, input_signature=specs, autograph=False).get_concrete_function()


def _from_uint8(source: Source) -> Any:
    import tensorflow as tf

    serve, as_values = source.function(), _as_values(source)
    return lambda image: serve(tf.cast(as_values(tf.cast(image, "float32")), source.dtype))


def _as_values(source: Source) -> Any:
    """Pixels 0-255 to what the model takes."""
    try:
        require_range(source.image, source.description.name)
        if source.image.preprocess.known:
            raise ValueError(
                "The signatures of bytes cannot hold a function: give value_range= in place of preprocess=."
            )
    except ValueError as error:
        raise ExportInputError(f"The signatures uint8 and jpeg take bytes. {error}") from None
    low, high = source.image.value_range.value
    return lambda pixels: pixels if (low, high) == BYTES else low + pixels * ((high - low) / 255)


def _from_jpeg(source: Source) -> Any:
    import tensorflow as tf

    if len(source.shape) != 3 or source.shape[2] not in (1, 3) or None in source.shape:
        raise ExportInputError(
            f"The jpeg signature needs images of one size and of 1 or 3 channels. The model takes {source.shape}."
        )
    height, width, channels = source.sizes[0]
    serve, as_values = source.function(), _as_values(source)
    method = source.image.interpolation.value
    if method not in METHODS:
        raise ExportInputError(
            f"The jpeg signature resizes by {', '.join(METHODS)}. Received: interpolation={method!r}"
        )

    def decode(encoded: Any) -> Any:
        image = tf.cast(tf.io.decode_jpeg(encoded, channels=channels), "float32")
        image = _fitted(image, (height, width), source.image.resize.value, METHODS[method])
        return tf.cast(as_values(tf.clip_by_value(image, 0.0, 255.0)), source.dtype)

    def serve_jpeg(jpeg: Any) -> Any:
        return serve(tf.map_fn(decode, jpeg, fn_output_signature=tf.TensorSpec(source.shape, source.dtype)))

    return serve_jpeg


def _fitted(image: Any, size: tuple[int, int], resize: str, method: str) -> Any:
    """An image at a size, as `kattn.data.resizing.fit` does it, to a pixel of the file."""
    import tensorflow as tf

    height, width = tf.unstack(tf.shape(image)[:2])
    if resize == "pad":
        scale = tf.minimum(size[0] / height, size[1] / width)
        tall, wide = (
            tf.maximum(1, tf.cast(tf.round(tf.cast(s, scale.dtype) * scale), "int32")) for s in (height, width)
        )
        image = tf.image.resize(image, (tall, wide), method=method, antialias=True)
        return tf.image.pad_to_bounding_box(image, (size[0] - tall) // 2, (size[1] - wide) // 2, *size)
    if resize == "crop":
        tall = tf.minimum(height, tf.cast(tf.round(width * size[0] / size[1]), "int32"))
        wide = tf.minimum(width, tf.cast(tf.round(height * size[1] / size[0]), "int32"))
        image = tf.image.crop_to_bounding_box(image, (height - tall) // 2, (width - wide) // 2, tall, wide)
    return tf.image.resize(image, size, method=method, antialias=True)
