"""Run an artefact in its own runtime, all formats behind one call: images in, named outputs out."""

from __future__ import annotations

import abc
from pathlib import Path
from typing import Any

import numpy as np

from kattn.export.errors import ExportInputError

BATCH = 32


class Runner(abc.ABC):
    """A loaded artefact.

    Attributes:
        path: Where it was read.
        format: Its name, such as "tflite", or "keras".
        shape: Of one image in (height, width, channels); None for what the artefact leaves open.
        batch: The batch it is fixed to; None for any.
        outputs: Names; of a Keras model with one output that has no name of its own, "predictions".
        runtime: The packages that run it.
        takes_threads: The runtime takes a number of threads.
    """

    format: str
    runtime: tuple[str, ...]
    takes_threads = False

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

    @classmethod
    def beyond_computing(cls, path: Path) -> list[str]:
        """What opening or running a file could do beside computing, such as writing files, in the file's own terms.

        Looked up without running anything of it; nothing unless overridden.
        """
        return []

    @classmethod
    def try_out(cls, path: Path) -> None:
        """Raise ExportInputError for a file that would end this process if it was run: no check unless overridden."""
        return

    @abc.abstractmethod
    def run(self, tensor: np.ndarray) -> dict[str, np.ndarray]:
        """One inference on the artefact's own input tensor: what a benchmark times."""


def as_dtype(images: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Images in another number type; rounded and clipped where it is an integer."""
    if np.dtype(dtype).kind in "ui" and images.dtype.kind == "f":
        limits = np.iinfo(dtype)
        images = np.clip(np.round(images), limits.min, limits.max)
    return images.astype(dtype)
