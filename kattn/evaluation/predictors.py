"""One way to ask anything that answers for images: Keras models, runs, exported files, functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kattn.evaluation.kinds import kind_of
from kattn.export.proof.runner import Runner
from kattn.facts.description import UNKNOWN, Fact, Input, Output
from kattn.facts.of_model import describe_model
from kattn.facts.stated import Stated
from kattn.facts.stating import with_stated
from kattn.graph.outputs import MAIN_OUTPUT, choose_output, named_outputs
from kattn.runs.opening import ARTEFACT, KERAS, RUN, ZOO, open_model


@dataclass(frozen=True)
class Predictor:
    """Something that answers for images, and what it takes.

    Attributes:
        name: For the report.
        run: (images, batch size) to its answers (images, ...), batch by batch.
        image_size, channels: Of the images that it takes; None for what it leaves open.
        output: The name of the output that `run` gives; "" for a function.
        shape: Of an answer, without the batch; None where that is not known.
        kind: Of the output; not known for a function, nor for a file without its certificate.
        described: What is known of that output; None for a function.
        config: Of the run that it is the model of, as in config.json; None for anything else.
        given: What is known of its input; None for a function, which is given 8-bit images.
    """

    name: str
    run: Callable[[Any, int], Iterator[np.ndarray]]
    image_size: tuple[int, int] | None = None
    channels: int | None = None
    output: str = ""
    shape: tuple[int | None, ...] | None = None
    kind: Fact = UNKNOWN
    described: Output | None = None
    config: dict[str, Any] | None = None
    given: Input | None = None


def open_predictor(
    model: Any,
    weights: str | None = None,
    trust: bool = False,
    output: str | int | None = None,
    stated: Stated | None = None,
) -> Predictor:
    """A Predictor of anything that `kattn.evaluate` takes.

    Args:
        model: A Keras model, a path, a name of the zoo with `weights`, what `kattn.export.load` gave, or a function
            from images to probabilities.
        weights: Of a run: "best" or "last", None for what its recipe selects. Of a name of the zoo: a tag or a file.
        trust: As in `kattn.export.load`.
        output: Name or number of the output to ask for; None for "predictions" where there is one, else the first that
            is no map, else the first.
        stated: What the caller states of the model.

    Raises: ValueError for an output that is not there and for what cannot be evaluated; RunError for a run without
        weights.
    """
    if isinstance(model, (str, Path)):
        kinds = (RUN, KERAS, ARTEFACT, ZOO)
        opened = open_model(model, kinds=kinds, weights=weights, unfinished=True, trained=True, trust=trust)
        if opened.model is None:
            return _of_artefact(opened.runner, opened.name, output, stated)
        return _of_keras(opened.model, opened.name, output, stated, opened.config)
    if isinstance(model, Runner):
        return _of_artefact(model, str(model.path), output, stated)
    if hasattr(model, "predict_on_batch"):
        return _of_keras(model, model.name, output, stated)
    if callable(model):
        return Predictor(
            getattr(model, "__name__", "function"),
            lambda images, size: (_numbers(model(batch)) for batch in _batches(images, size)),
        )
    raise ValueError(f"Cannot evaluate a {type(model).__name__}: pass a Keras model, a path, or a function of images.")


def _of_keras(
    model: Any, name: str, output: str | int | None, stated: Stated | None, config: dict[str, Any] | None = None
) -> Predictor:
    shape = model.input_shape
    if isinstance(shape, (list, dict)) or len(shape) != 4:
        raise ValueError(f"{model.name} does not take one batch of images. Its input shape: {shape}")
    found = describe_model(model, stated)
    flat = [name for name, one in found.outputs.items() if len(one.shape) < 2]
    if output is None and MAIN_OUTPUT not in found.outputs and flat:
        output = flat[0]
    chosen = found.outputs[choose_output(found.outputs, output, model.name)]

    def run(images: Any, batch_size: int) -> Iterator[np.ndarray]:
        for batch in _batches(images, batch_size):
            missing = min(batch_size, len(images)) - len(batch)  # one shape only: nothing is compiled twice
            padded = np.concatenate([batch, np.zeros((missing, *batch.shape[1:]), batch.dtype)]) if missing else batch
            answer = named_outputs(model, model.predict_on_batch(padded))[chosen.name]
            yield _numbers(answer)[: len(batch)]

    size = (shape[1], shape[2]) if shape[1] and shape[2] else None
    return Predictor(name, run, size, shape[3], chosen.name, chosen.shape, kind_of(chosen), chosen, config, found.input)


def _of_artefact(runner: Any, name: str, output: str | int | None, stated: Stated | None) -> Predictor:
    if len(runner.shape) != 3:
        raise ValueError(f"{name} does not take one batch of images. Its input shape: {runner.shape}")
    found = with_stated(runner.description, stated) if stated else runner.description
    chosen = found.outputs[choose_output(runner.outputs, output, name)]
    height, width, channels = runner.shape

    def run(images: Any, batch_size: int) -> Iterator[np.ndarray]:
        for batch in _batches(images, batch_size):
            yield runner(batch, batch_size=batch_size)[chosen.name]

    size = (height, width) if height and width else None
    shape = chosen.shape if chosen.name in runner.output_shapes else None
    return Predictor(name, run, size, channels, chosen.name, shape, chosen.kind, chosen, given=found.input)


def _numbers(answer: Any) -> np.ndarray:
    """Answers as float32; whole numbers as they are."""
    array = np.asarray(answer)
    return array if array.dtype.kind in "iub" else array.astype("float32")


def _batches(images: Any, batch_size: int) -> Iterator[np.ndarray]:
    return (images[start : start + batch_size] for start in range(0, len(images), batch_size))
