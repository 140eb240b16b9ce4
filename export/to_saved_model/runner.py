"""Run a SavedModel folder in TensorFlow."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kattn.export.errors import ExportInputError
from kattn.export.proof.runner import Runner, as_dtype
from kattn.export.to_saved_model.inspection import beyond_computing


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
        self.specs = self.function.structured_input_signature[1]
        inputs = {name: tuple(spec.shape) for name, spec in self.specs.items()}
        batch = next(iter(inputs.values()))[0]
        shapes = {name: shape[1:] for name, shape in inputs.items()}
        given = self.function.structured_outputs
        super().__init__(path, shapes, batch, tuple(given))
        self.dtypes = {name: spec.dtype.name for name, spec in self.specs.items()}
        self.output_shapes = {name: tuple(one.shape[1:]) for name, one in given.items() if one.shape.rank}

    @classmethod
    def beyond_computing(cls, path: Path) -> list[str]:
        """What its operators could do beside computing."""
        return beyond_computing(path)

    def encode(self, name: str, values: np.ndarray) -> np.ndarray:
        """The images in the signature's type."""
        return as_dtype(values, self.specs[name].dtype.as_numpy_dtype)

    def run(self, tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The serving signature's outputs."""
        import tensorflow as tf

        result = self.function(**{name: tf.constant(tensor) for name, tensor in tensors.items()})
        return {name: result[name].numpy() for name in self.outputs}
