"""Run a .tflite file in ai-edge-litert."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kattn.export.apart import run_apart
from kattn.export.errors import ExportError, ExportInputError
from kattn.export.proof.runner import Runner
from kattn.export.to_tflite.graph import large_tensors, read_tflite
from kattn.export.to_tflite.interpreter import input_details, invoke, output_details, to_numbers, to_tensor


class TFLiteRunner(Runner):
    """A .tflite file in ai-edge-litert, through its signature where it has one."""

    format = "tflite"
    runtime = ("ai-edge-litert",)
    takes_threads = True

    def __init__(self, path: Path, threads: int = 1) -> None:
        from ai_edge_litert.interpreter import Interpreter

        read_tflite(path)  # the interpreter trusts the file: a damaged one is found here
        self.interpreter = Interpreter(model_path=str(path), num_threads=threads)
        self.details = input_details(self.interpreter)
        signatures = {name: tuple(map(int, d["shape_signature"])) for name, d in self.details.items()}
        if all(-1 not in signature[:1] for signature in signatures.values()):
            self.interpreter.allocate_tensors()
        first = next(iter(signatures.values()))
        shapes = {name: tuple(None if d == -1 else d for d in shape[1:]) for name, shape in signatures.items()}
        self.results = output_details(self.interpreter)
        super().__init__(path, shapes, None if first[0] == -1 else first[0], tuple(self.results))
        self.dtypes = {name: np.dtype(detail["dtype"]).name for name, detail in self.details.items()}
        self.quantised = any(detail["quantization"][0] for detail in self.details.values())
        for name, detail in self.results.items():
            sides = [None if side == -1 else int(side) for side in detail["shape_signature"]]
            self.output_shapes[name] = tuple(sides[1:])

    def encode(self, name: str, values: np.ndarray) -> np.ndarray:
        """The images in the input's type, quantised by its scale and zero point."""
        return to_tensor(values, self.details[name])

    def decode(self, name: str, value: np.ndarray) -> np.ndarray:
        """An output in real numbers."""
        return to_numbers(value, self.results[name])

    def run(self, tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """One invocation; a dynamic batch is resized to the tensors'."""
        now = {detail["index"]: tuple(detail["shape"]) for detail in self.interpreter.get_input_details()}
        changed = [n for n, tensor in tensors.items() if now[self.details[n]["index"]] != tensor.shape]
        for name in tensors if self.batch is None else changed:
            self.interpreter.resize_tensor_input(self.details[name]["index"], tensors[name].shape)
        if changed or self.batch is None:
            self.interpreter.allocate_tensors()
        for name, tensor in tensors.items():
            self.interpreter.set_tensor(self.details[name]["index"], tensor)
        self.interpreter.invoke()
        return {name: self.interpreter.get_tensor(detail["index"]) for name, detail in self.results.items()}

    @classmethod
    def beyond_computing(cls, path: Path) -> list[str]:
        """Tensors that alone take more memory than a model's do: one number in a small file makes one."""
        return large_tensors(read_tflite(path))

    @classmethod
    def try_out(cls, path: Path) -> None:
        """Run the file in another process: kernels end theirs on scales that they cannot work with."""
        try:
            graph = read_tflite(path)
        except (ExportError, OSError):  # opening the file says so with more words
            return
        if any(-1 in tensor.signature[1:] for tensor in graph.inputs):  # an open size runs at the one asked for
            return
        try:
            run_apart(f"{invoke.__module__}:invoke", "ai-edge-litert", path=str(path.absolute()))
        except ExportError as error:
            raise ExportInputError(f"{path} is not a readable tflite artefact: {error}") from error
