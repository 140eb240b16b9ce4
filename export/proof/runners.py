"""Run an artefact in its own runtime, all formats behind one call: images in, named outputs out."""

from __future__ import annotations

import abc
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kattn.export.errors import ExportError, ExportInputError
from kattn.export.quiet import converting
from kattn.export.source.names import PREDICTIONS

BATCH = 32


class Runner(abc.ABC):
    """A loaded artefact.

    Attributes:
        path: Where it was read.
        format: "keras", "saved_model", "tflite" or "onnx".
        shape: Of one image in (height, width, channels); None for what the artefact leaves open.
        batch: The batch it is fixed to; None for any.
        outputs: Names; of a Keras model with one output that has no name of its own, "predictions".
        runtime: The packages that run it.
    """

    format: str
    runtime: tuple[str, ...]

    def __init__(self, path: Path, shape: tuple[int | None, ...], batch: int | None, outputs: tuple[str, ...]) -> None:
        self.path = path
        self.shape = shape
        self.batch = batch
        self.outputs = outputs

    def __call__(self, images: Any, batch_size: int = BATCH) -> dict[str, np.ndarray]:
        """Run images in batches.

        Args:
            images: (images, height, width, channels), as the model takes them: a zoo model raw RGB pixels, 0-255, of
                any number type. Layout, type and quantisation of the artefact's own input are taken care of.
            batch_size: Images at a time, unless the artefact fixes its batch.

        Returns: Output name to a float32 array; maps come as (images, height, width, channels).
        Raises: ExportInputError for images of another shape.
        """
        images = np.asarray(images)
        fits = images.ndim == len(self.shape) + 1 and all(
            own in (None, given) for own, given in zip(self.shape, images.shape[1:], strict=True)
        )
        if not fits or not len(images) or images.dtype.kind not in "uifb":
            raise ExportInputError(
                f"{self.path} takes images of shape (any number, {', '.join(str(d or 'any') for d in self.shape)}). "
                f"Received: {images.dtype} of shape {images.shape}"
            )
        size = self.batch or max(1, batch_size)
        parts = []
        for start in range(0, len(images), size):
            part = images[start : start + size]
            missing = size - len(part) if self.batch else 0
            if missing:
                part = np.concatenate([part, np.repeat(part[-1:], missing, axis=0)])
            result = self.run(self.encode(part))
            parts.append({name: self.decode(name, value)[: size - missing] for name, value in result.items()})
        return {name: np.concatenate([part[name] for part in parts]) for name in self.outputs}

    def encode(self, images: np.ndarray) -> np.ndarray:
        """A batch of images as the artefact's input tensor."""
        return images.astype("float32")

    def decode(self, name: str, value: np.ndarray) -> np.ndarray:
        """An output tensor of the artefact as float32."""
        return value.astype("float32")

    @abc.abstractmethod
    def run(self, tensor: np.ndarray) -> dict[str, np.ndarray]:
        """One inference on the artefact's own input tensor: what a benchmark times."""


def load(path: str | Path, *, threads: int = 1) -> Runner:
    """A runner for a .keras file, a SavedModel folder, a .tflite or an .onnx file.

    Args:
        path: The artefact.
        threads: Of the runtime, where it takes a number (ai-edge-litert, onnxruntime).

    Raises: ExportInputError for a path that does not exist or holds none of the four, or that its runtime cannot read.
    """
    path = Path(path)
    if not path.exists():
        raise ExportInputError(f"There is no artefact {path}.")
    if path.is_dir():
        if not (path / "saved_model.pb").is_file():
            raise ExportInputError(f"{path} is a folder without saved_model.pb: no SavedModel.")
        kind: type[Any] = SavedModelRunner
    else:
        kinds: Mapping[str, type[Any]] = {".tflite": TFLiteRunner, ".onnx": ONNXRunner, ".keras": KerasRunner}
        if path.suffix not in kinds:
            raise ExportInputError(
                f"{path}: not an artefact that can be run. Known: {', '.join(kinds)}, a SavedModel folder."
            )
        kind = kinds[path.suffix]
    try:
        with converting(f"Reading {path}"):
            return kind(path, threads)
    except ExportInputError:
        raise
    except (ExportError, OSError) as error:
        raise ExportInputError(f"{path} is not a readable {kind.format} artefact: {_first_line(error)}") from error


class KerasRunner(Runner):
    """A .keras file, run by Keras on its own backend."""

    format = "keras"
    runtime = ("keras", "tensorflow")

    def __init__(self, path: Path, threads: int = 1) -> None:
        import keras

        import kattn.layers  # noqa: F401  (registers the layers that the file names)

        if not zipfile.is_zipfile(path):
            raise ExportError("it is damaged: a .keras file is a zip archive, this is none")
        self.model = keras.models.load_model(path, compile=False)
        shape = tuple(self.model.inputs[0].shape[1:])
        output = getattr(self.model, "output", None)  # a Sequential model that was not called has none
        if isinstance(output, dict):
            names = tuple(output)
        else:
            names = (PREDICTIONS,) if len(self.model.outputs) == 1 else tuple(self.model.output_names)
        super().__init__(path, shape, None, names)

    def run(self, tensor: np.ndarray) -> dict[str, np.ndarray]:
        """The model's prediction."""
        return _named(self.model.predict_on_batch(tensor), self.outputs)


class SavedModelRunner(Runner):
    """A SavedModel's serving signature, run by TensorFlow."""

    format = "saved_model"
    runtime = ("tensorflow",)

    def __init__(self, path: Path, threads: int = 1) -> None:
        import tensorflow as tf

        self.loaded = tf.saved_model.load(str(path))  # kept: its variables live as long as it does
        if "serving_default" not in self.loaded.signatures:
            raise ExportInputError(f"{path} has no signature serving_default.")
        self.function = self.loaded.signatures["serving_default"]
        inputs = self.function.structured_input_signature[1]
        if len(inputs) != 1:
            raise ExportInputError(
                f"{path} takes {len(inputs)} inputs ({', '.join(inputs)}); one, the image, is expected."
            )
        self.input, spec = next(iter(inputs.items()))
        self.dtype = spec.dtype
        shape = tuple(spec.shape)
        super().__init__(path, shape[1:], shape[0], tuple(self.function.structured_outputs))

    def encode(self, images: np.ndarray) -> np.ndarray:
        """The images in the signature's type."""
        return _as(images, self.dtype.as_numpy_dtype)

    def run(self, tensor: np.ndarray) -> dict[str, np.ndarray]:
        """The serving signature's outputs."""
        import tensorflow as tf

        result = self.function(**{self.input: tf.constant(tensor)})
        return {name: result[name].numpy() for name in self.outputs}


class TFLiteRunner(Runner):
    """A .tflite file in ai-edge-litert, through its signature where it has one."""

    format = "tflite"
    runtime = ("ai-edge-litert",)

    def __init__(self, path: Path, threads: int = 1) -> None:
        from ai_edge_litert.interpreter import Interpreter

        from kattn.export.to_tflite.graph import read_tflite

        read_tflite(path)  # the interpreter trusts the file: a damaged one is found here
        self.interpreter = Interpreter(model_path=str(path), num_threads=threads)
        (self.input,) = self.interpreter.get_input_details()
        self.details = self._named_outputs()
        signature = tuple(int(d) for d in self.input["shape_signature"])
        if -1 not in signature[:1]:
            self.interpreter.allocate_tensors()
        batch = None if signature[0] == -1 else signature[0]
        shape = tuple(None if d == -1 else d for d in signature[1:])
        super().__init__(path, shape, batch, tuple(self.details))

    def encode(self, images: np.ndarray) -> np.ndarray:
        """The images in the input's type, quantised by its scale and zero point."""
        return _quantised(images, self.input)

    def decode(self, name: str, value: np.ndarray) -> np.ndarray:
        """An output in real numbers."""
        scale, zero_point = self.details[name]["quantization"]
        return ((value.astype("float32") - zero_point) * scale if scale else value).astype("float32")

    def run(self, tensor: np.ndarray) -> dict[str, np.ndarray]:
        """One invocation; a dynamic batch is resized to the tensor's."""
        index = self.input["index"]
        if tuple(self.interpreter.get_input_details()[0]["shape"]) != tensor.shape or self.batch is None:
            self.interpreter.resize_tensor_input(index, tensor.shape)
            self.interpreter.allocate_tensors()
        self.interpreter.set_tensor(index, tensor)
        self.interpreter.invoke()
        return {name: self.interpreter.get_tensor(detail["index"]) for name, detail in self.details.items()}

    def _named_outputs(self) -> dict[str, dict[str, Any]]:
        details = {detail["index"]: detail for detail in self.interpreter.get_output_details()}
        signatures = self.interpreter.get_signature_list()
        if signatures:
            key = "serving_default" if "serving_default" in signatures else next(iter(signatures))
            runner = self.interpreter.get_signature_runner(key)
            return {name: details[detail["index"]] for name, detail in runner.get_output_details().items()}
        return {detail["name"]: detail for detail in details.values()}


class ONNXRunner(Runner):
    """An .onnx file in onnxruntime on the processor."""

    format = "onnx"
    runtime = ("onnxruntime",)

    def __init__(self, path: Path, threads: int = 1) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        inputs = self.session.get_inputs()
        if len(inputs) != 1:
            raise ExportInputError(f"{path} takes {len(inputs)} inputs; one, the image, is expected.")
        self.input = inputs[0]
        dims = tuple(d if isinstance(d, int) else None for d in self.input.shape)
        channels = (1, 3, 4)
        layout = self.session.get_modelmeta().custom_metadata_map.get("layout")
        self.nchw = layout == "nchw" if layout else len(dims) == 4 and dims[1] in channels and dims[3] not in channels
        shape = (dims[2], dims[3], dims[1]) if self.nchw else dims[1:]
        super().__init__(path, shape, dims[0], tuple(output.name for output in self.session.get_outputs()))

    def encode(self, images: np.ndarray) -> np.ndarray:
        """The images in the input's layout and type."""
        types = {
            "tensor(float)": "float32",
            "tensor(float16)": "float16",
            "tensor(uint8)": "uint8",
            "tensor(int8)": "int8",
        }
        images = _as(images, np.dtype(types.get(self.input.type, "float32")))
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2)) if self.nchw else images

    def decode(self, name: str, value: np.ndarray) -> np.ndarray:
        """An output as float32, maps with their channels last."""
        value = value.astype("float32")
        return value.transpose(0, 2, 3, 1) if self.nchw and value.ndim == 4 else value

    def run(self, tensor: np.ndarray) -> dict[str, np.ndarray]:
        """One run of the session."""
        results = self.session.run(list(self.outputs), {self.input.name: tensor})
        return dict(zip(self.outputs, results, strict=True))


def _named(result: Any, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    if isinstance(result, Mapping):
        return {name: np.asarray(result[name]) for name in names}
    values = result if isinstance(result, (list, tuple)) else [result]
    return {name: np.asarray(value) for name, value in zip(names, values, strict=True)}


def _as(images: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Images in another number type; rounded and clipped where it is an integer."""
    if np.dtype(dtype).kind in "ui" and images.dtype.kind == "f":
        limits = np.iinfo(dtype)
        images = np.clip(np.round(images), limits.min, limits.max)
    return images.astype(dtype)


def _quantised(images: np.ndarray, detail: dict[str, Any]) -> np.ndarray:
    scale, zero_point = detail["quantization"]
    if scale:
        images = images.astype("float32") / scale + zero_point
    return _as(images, detail["dtype"])


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:300]
