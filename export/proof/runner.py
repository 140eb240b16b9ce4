"""Run an artefact in its own runtime, all formats behind one call: images in, named outputs out."""

from __future__ import annotations

import abc
import functools
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kattn.export.errors import ExportInputError
from kattn.export.proof.described import describe_artefact
from kattn.facts.description import Description
from kattn.facts.pixels import mismatch
from kattn.facts.stated import Stated

log = logging.getLogger("kattn.export")

BATCH = 32


class Runner(abc.ABC):
    """A loaded artefact.

    Attributes:
        path: Where it was read.
        format: Its name, such as "tflite", or "keras".
        inputs: Name to the shape of one image or vector: (height, width, channels); None for what is left open.
        batch: The batch it is fixed to; None for any.
        outputs: Names; of a Keras model with one output that has no name of its own, "predictions".
        runtime: The packages that run it.
        takes_threads: The runtime takes a number of threads.
        dtypes: Input to the type of the artefact's own tensor, where it says it.
        quantised: The artefact's own inputs are integers that stand for other numbers.
        output_shapes: Name to shape without the batch, where the artefact says it.
        stated: What was stated of the model when the artefact was opened.
    """

    format: str
    runtime: tuple[str, ...]
    takes_threads = False
    quantised = False

    def __init__(
        self, path: Path, inputs: Mapping[str, tuple[int | None, ...]], batch: int | None, outputs: tuple[str, ...]
    ) -> None:
        if not inputs or not outputs:
            raise ExportInputError(f"{path} has {len(inputs)} inputs and {len(outputs)} outputs: it is no model.")
        self.path = path
        self.inputs = dict(inputs)
        self.batch = batch
        self.outputs = outputs
        self.dtypes: dict[str, str] = {}
        self.output_shapes: dict[str, tuple[int | None, ...]] = {}
        self.stated = Stated()
        self._compared = False

    @functools.cached_property
    def description(self) -> Description:
        """What the artefact takes and gives, as far as that is recorded or was stated."""
        return describe_artefact(self, self.stated)

    def recorded(self) -> dict[str, Any]:
        """What the file itself says of the model (`kattn.facts.recorded`)."""
        return {}

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Of one image; of several inputs the first one's."""
        return next(iter(self.inputs.values()))

    def __call__(self, images: Any, batch_size: int = BATCH) -> dict[str, np.ndarray]:
        """Run images in batches.

        Args:
            images: (images, height, width, channels), as the model takes them: a zoo model raw RGB pixels, 0-255, of
                any number type. Layout, type and quantisation of the artefact's own input are taken care of. For
                several inputs a dict of such arrays by name.
            batch_size: Images at a time, unless the artefact fixes its batch.

        The first time, values that the model is known not to take, such as 0 to 1 for one of pixels, are a warning in
        the log.

        Returns: Output name to a float32 array; maps come as (images, height, width, channels).
        Raises: ExportInputError for images of another shape, another set of inputs, or a file that its runtime cannot
            run.
        """
        arrays = self._arrays(images)
        count = len(next(iter(arrays.values())))
        self._compare(next(iter(arrays.values())))
        size = self.batch or max(1, batch_size)
        parts = []
        for start in range(0, count, size):
            part = {name: array[start : start + size] for name, array in arrays.items()}
            missing = size - min(size, count - start) if self.batch else 0
            if missing:
                part = {name: np.concatenate([a, np.repeat(a[-1:], missing, axis=0)]) for name, a in part.items()}
            try:
                result = self.run({name: self.encode(name, array) for name, array in part.items()})
                parts.append({name: self.decode(name, value)[: size - missing] for name, value in result.items()})
            except Exception as error:  # runtimes raise errors of their own kinds for files that they cannot run
                reason = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
                raise ExportInputError(f"{self.path} can be read but not run: {reason}") from error
        return {name: np.concatenate([part[name] for part in parts]) for name in self.outputs}

    def _arrays(self, images: Any) -> dict[str, np.ndarray]:
        given = images if isinstance(images, Mapping) else dict.fromkeys(list(self.inputs)[:1], images)
        if len(self.inputs) == len(given) == 1:  # whatever it is called
            given = dict(zip(self.inputs, given.values(), strict=True))
        if set(given) != set(self.inputs):
            shapes = ", ".join(f"{name} (any number, {_sizes(shape)})" for name, shape in self.inputs.items())
            raise ExportInputError(
                f"{self.path} takes a dict with an array for each of its inputs: {shapes}. Received: "
                f"{', '.join(map(str, given)) if isinstance(images, Mapping) else type(images).__name__}"
            )
        arrays = {name: np.asarray(given[name]) for name in self.inputs}
        count = len(next(iter(arrays.values()))) if next(iter(arrays.values())).ndim else 0
        for name, shape in self.inputs.items():
            array = arrays[name]
            fits = array.ndim == len(shape) + 1 and all(
                own in (None, size) for own, size in zip(shape, array.shape[1:], strict=True)
            )
            if not fits or not len(array) or len(array) != count or array.dtype.kind not in "uifb":
                what = "images" if len(self.inputs) == 1 else f"input {name!r}"
                raise ExportInputError(
                    f"{self.path} takes {what} of shape (any number, {_sizes(shape)}). "
                    f"Received: {array.dtype} of shape {array.shape}"
                )
        return arrays

    def _compare(self, images: np.ndarray) -> None:
        """Say once that the values are not those that the model takes."""
        if self._compared or len(self.inputs) != 1:
            return
        self._compared = True
        if problem := mismatch(images, self.description.input):
            log.warning("%s: the images %s. What comes out means nothing then.", self.path, problem)

    def encode(self, name: str, values: np.ndarray) -> np.ndarray:
        """A batch of images as the artefact's input tensor of this name."""
        return values.astype("float32")

    def decode(self, name: str, value: np.ndarray) -> np.ndarray:
        """An output tensor of the artefact as float32."""
        return value.astype("float32")

    @classmethod
    def beyond_computing(cls, path: Path) -> list[str]:
        """What opening or running a file could do beside computing, such as writing files or taking all memory.

        In the file's own terms, looked up without running anything of it; nothing unless overridden.
        """
        return []

    @classmethod
    def try_out(cls, path: Path) -> None:
        """Raise ExportInputError for a file that would end this process if it was run: no check unless overridden."""
        return

    @abc.abstractmethod
    def run(self, tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """One inference on the artefact's own input tensors: what a benchmark times."""


def _sizes(shape: tuple[int | None, ...]) -> str:
    return ", ".join(str(size or "any") for size in shape)


def as_dtype(images: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Images in another number type; rounded and clipped where it is an integer."""
    if np.dtype(dtype).kind in "ui" and images.dtype.kind == "f":
        limits = np.iinfo(dtype)
        images = np.clip(np.round(images), limits.min, limits.max)
    return images.astype(dtype)
