"""Run a .keras file in Keras."""

from __future__ import annotations

import zipfile
from pathlib import Path

import keras
import numpy as np

import kattn.layers  # noqa: F401  (registers the layers that files name)
from kattn.export.errors import ExportError
from kattn.export.proof.runner import Runner
from kattn.graph.outputs import named_outputs


class KerasRunner(Runner):
    """A .keras file, run by Keras on its own backend."""

    format = "keras"
    runtime = ("keras", "tensorflow")

    def __init__(self, path: Path, threads: int = 1) -> None:
        if not zipfile.is_zipfile(path):
            raise ExportError("it is damaged: a .keras file is a zip archive, this is none")
        self.model = keras.models.load_model(path, compile=False)
        super().__init__(path, tuple(self.model.inputs[0].shape[1:]), None, tuple(named_outputs(self.model)))

    def run(self, tensor: np.ndarray) -> dict[str, np.ndarray]:
        """The model's prediction."""
        outputs = named_outputs(self.model, self.model.predict_on_batch(tensor))
        return {name: np.asarray(value) for name, value in outputs.items()}
