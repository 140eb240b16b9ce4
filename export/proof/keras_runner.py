"""Read and run .keras files, and Keras's older .h5 files, in Keras."""

from __future__ import annotations

import functools
import io
import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

import kattn.layers  # noqa: F401  (registers the layers that files name)
from kattn.archive import ArchiveError, copy_member
from kattn.export.errors import ExportInputError
from kattn.export.proof.runner import Runner, as_dtype
from kattn.facts.description import Description
from kattn.facts.of_model import describe_model
from kattn.files import is_full, reason
from kattn.graph.outputs import named_outputs
from kattn.graph.sizes import check_size
from kattn.hdf5 import largest_content, open_hdf5
from kattn.zoo.weights.files.keras_files import weights_of_archive

H5 = ".h5"
CONFIG = "config.json"
MOST_CONFIG = 16 << 20  # bytes
CODE = ("safe_mode", "Could not locate", "lambda")  # in Keras's messages on what needs code of one's own


def read_keras(path: str | Path) -> Any:
    """A .keras or .h5 file as a model, not compiled. Keras's safe mode is always on: no code of the file is executed.

    Raises: ExportInputError, a ValueError, for a file that is damaged, swells beyond what its size lets expect, or
        needs code: a Lambda layer, or classes that are not registered; OSError for a full disk, where it is unpacked.
    """
    path = Path(path)
    old = path.suffix == H5
    if not old and not zipfile.is_zipfile(path):
        raise ExportInputError(f"{path} is not a readable .keras file: it should be a zip archive and is none.")
    try:
        (_check_h5 if old else _check)(path)
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
        if not isinstance(model, keras.Model):
            raise TypeError(f"it holds a {type(model).__name__}, no model")
        return model
    except Exception as error:  # Keras raises errors of many kinds for damaged configurations
        if is_full(error):
            said = f"{path} could not be unpacked in {tempfile.gettempdir()}: {reason(error)}."
            raise OSError(error.errno, said) from error
        text = str(error).strip() or type(error).__name__
        told = text.partition("\n")[0][:300]  # Keras appends the whole configuration of the layer
        if any(word in text for word in CODE):
            told += (
                " kattn executes no code of a file. Import the module that registers its layers first "
                "(keras.saving.register_keras_serializable; --import my_layers.py on the command line). If you trust "
                "where the file comes from, load it yourself, with keras.saving.load_model(path, safe_mode=False) or "
                "custom_objects=, and pass the model."
            )
        raise ExportInputError(f"{path} is not a readable {path.suffix} file: {told}") from error


def _check_h5(path: Path) -> None:
    """Look at a whole .h5 file before Keras opens it. Raises: ValueError."""
    with open_hdf5(path, repr(str(path))) as content:
        text, shapes = content.attributes().get("model_config"), content.shapes
    if text is None:
        raise ValueError(
            "it holds weights only, and no model. For one of the zoo: kattn.zoo.create(name, weights=path)"
        )
    check_size(lambda: keras.models.model_from_json(text), shapes)


def _check(path: Path) -> None:
    """Look at the whole archive before Keras opens it. Raises: ValueError, ArchiveError."""
    limit = largest_content(path.stat().st_size)
    with zipfile.ZipFile(path) as archive:
        if (size := sum(member.file_size for member in archive.infolist())) > limit:
            raise ArchiveError(f"it swells to {size >> 20} MB, more than the {limit >> 20} MB that it may")
    config = io.BytesIO()
    copy_member(path, CONFIG, config, MOST_CONFIG)
    described = json.loads(config.getvalue())
    with open_hdf5(weights_of_archive(path, limit), repr(str(path))) as content:
        shapes = content.shapes
    check_size(lambda: keras.saving.deserialize_keras_object(described), shapes)


class KerasRunner(Runner):
    """A .keras file, run by Keras on its own backend."""

    format = "keras"
    runtime = ("keras", "tensorflow")

    def __init__(self, path: Path, threads: int = 1) -> None:
        self.model = read_keras(path)
        inputs = {tensor.name: tuple(tensor.shape[1:]) for tensor in self.model.inputs}
        super().__init__(path, inputs, None, tuple(named_outputs(self.model)))

    @functools.cached_property
    def description(self) -> Description:
        """What the model takes and gives, as its graph says or was stated."""
        return describe_model(self.model, self.stated, self.path.name)

    def encode(self, name: str, values: np.ndarray) -> np.ndarray:
        """The images in the input's type."""
        return as_dtype(values, np.dtype({t.name: t.dtype for t in self.model.inputs}[name]))

    def run(self, tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The model's prediction."""
        flat = list(tensors.values())
        given = flat[0] if len(flat) == 1 else keras.tree.pack_sequence_as(self.model.input, flat)
        outputs = named_outputs(self.model, self.model.predict_on_batch(given))
        return {name: np.asarray(value) for name, value in outputs.items()}
