"""One way to ask anything that answers for images: Keras models, runs, exported files, functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kattn.graph.outputs import MAIN_OUTPUT, class_count, main_output
from kattn.runs.opening import ARTEFACT, KERAS, RUN, open_model


@dataclass(frozen=True)
class Predictor:
    """Something that answers for images, and what it takes.

    Attributes:
        name: For the report.
        run: (images, batch size) to its answers (images, classes), batch by batch.
        image_size, channels, classes: What it takes and gives; None for what it leaves open.
        config: Of the run that it is the model of, as in config.json; None for anything else.
    """

    name: str
    run: Callable[[Any, int], Iterator[np.ndarray]]
    image_size: tuple[int, int] | None = None
    channels: int | None = None
    classes: int | None = None
    config: dict[str, Any] | None = None


def open_predictor(model: Any, weights: str | None = None, trust: bool = False) -> Predictor:
    """A Predictor of anything that `kattn.evaluate` takes.

    Args:
        model: A Keras model, a path, or a function from images to probabilities.
        weights: Of a run: "best" or "last", None for what its recipe selects.
        trust: As in `kattn.export.load`.

    Raises: ValueError for what cannot be evaluated; RunError for a run without weights.
    """
    if isinstance(model, (str, Path)):
        opened = open_model(model, kinds=(RUN, KERAS, ARTEFACT), weights=weights, unfinished=True, trust=trust)
        if opened.model is None:
            return _of_artefact(opened.runner, opened.name)
        return _of_keras(opened.model, opened.name, opened.config)
    if hasattr(model, "predict_on_batch"):
        return _of_keras(model, model.name)
    if callable(model):
        return Predictor(
            getattr(model, "__name__", "function"),
            lambda images, size: (np.asarray(model(batch), "float32") for batch in _batches(images, size)),
        )
    raise ValueError(f"Cannot evaluate a {type(model).__name__}: pass a Keras model, a path, or a function of images.")


def _of_keras(model: Any, name: str, config: dict[str, Any] | None = None) -> Predictor:
    output = main_output(model)
    shape = model.input_shape
    if isinstance(shape, (list, dict)) or len(shape) != 4:
        raise ValueError(f"{model.name} does not take one batch of images. Its input shape: {shape}")

    def run(images: Any, batch_size: int) -> Iterator[np.ndarray]:
        for batch in _batches(images, batch_size):
            missing = min(batch_size, len(images)) - len(batch)  # one shape only: nothing is compiled twice
            padded = np.concatenate([batch, np.zeros((missing, *batch.shape[1:]), batch.dtype)]) if missing else batch
            answer = model.predict_on_batch(padded)
            yield np.asarray(answer if output is None else answer[output], "float32")[: len(batch)]

    size = (shape[1], shape[2]) if shape[1] and shape[2] else None
    return Predictor(name, run, size, shape[3], class_count(model), config)


def _of_artefact(runner: Any, name: str) -> Predictor:
    output = MAIN_OUTPUT if MAIN_OUTPUT in runner.outputs else runner.outputs[0]
    height, width, channels = runner.shape

    def run(images: Any, batch_size: int) -> Iterator[np.ndarray]:
        for batch in _batches(images, batch_size):
            yield runner(batch, batch_size=batch_size)[output]

    return Predictor(name, run, (height, width) if height and width else None, channels)


def _batches(images: Any, batch_size: int) -> Iterator[np.ndarray]:
    return (images[start : start + batch_size] for start in range(0, len(images), batch_size))
