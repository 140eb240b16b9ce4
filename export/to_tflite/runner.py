"""Run a .tflite file in ai-edge-litert."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from kattn.export.errors import ExportError, ExportInputError
from kattn.export.proof.runner import Runner
from kattn.export.to_tflite.graph import read_tflite
from kattn.export.to_tflite.interpreter import to_numbers, to_tensor
from kattn.export.to_tflite.trial_run import run_in_subprocess


class TFLiteRunner(Runner):
    """A .tflite file in ai-edge-litert, through its signature where it has one."""

    format = "tflite"
    runtime = ("ai-edge-litert",)
    takes_threads = True

    def __init__(self, path: Path, threads: int = 1) -> None:
        from ai_edge_litert.interpreter import Interpreter

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
        return to_tensor(images, self.input)

    def decode(self, name: str, value: np.ndarray) -> np.ndarray:
        """An output in real numbers."""
        return to_numbers(value, self.details[name])

    def run(self, tensor: np.ndarray) -> dict[str, np.ndarray]:
        """One invocation; a dynamic batch is resized to the tensor's."""
        index = self.input["index"]
        if tuple(self.interpreter.get_input_details()[0]["shape"]) != tensor.shape or self.batch is None:
            self.interpreter.resize_tensor_input(index, tensor.shape)
            self.interpreter.allocate_tensors()
        self.interpreter.set_tensor(index, tensor)
        self.interpreter.invoke()
        return {name: self.interpreter.get_tensor(detail["index"]) for name, detail in self.details.items()}

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
            run_in_subprocess(path)
        except ExportError as error:
            raise ExportInputError(f"{path} is not a readable tflite artefact: {error}") from error

    def _named_outputs(self) -> dict[str, dict[str, Any]]:
        details = {detail["index"]: detail for detail in self.interpreter.get_output_details()}
        signatures = self.interpreter.get_signature_list()
        if signatures:
            key = "serving_default" if "serving_default" in signatures else next(iter(signatures))
            runner = self.interpreter.get_signature_runner(key)
            return {name: details[detail["index"]] for name, detail in runner.get_output_details().items()}
        return {detail["name"]: detail for detail in details.values()}
