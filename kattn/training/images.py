"""What a run's network is given for its images: stated, known of the model, or raw pixels; and what is recorded."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import numpy as np

from kattn.data.dataset import Dataset
from kattn.data.errors import DataError
from kattn.facts.description import DEFAULT, ZOO, Fact, Input, name_of
from kattn.facts.of_model import image_of
from kattn.facts.pixels import check_values
from kattn.facts.stated import BYTES, INTERPOLATION, RESIZE, Stated

log = logging.getLogger("kattn")


def input_of(model: Any, stated: Stated) -> Input:
    """The input of a model that is to be trained.

    Args:
        model: A name of the zoo or a Keras model.
        stated: What the caller states.

    Raises: ValueError for a value range or a function that is stated of a name of the zoo, which takes raw pixels.
    """
    if isinstance(model, str):
        if stated.value_range or stated.preprocess:
            raise ValueError(
                f"value_range and preprocess go with a Keras model; {model} is built here and takes raw pixels. Pass "
                "kattn.zoo.create(...) to train it otherwise."
            )
        resize, interpolation = Fact(stated.resize or RESIZE), Fact(stated.interpolation or INTERPOLATION)
        return Input("image", Fact(), Fact("float32", ZOO), Fact(BYTES, ZOO), resize, interpolation)
    return image_of(model, stated)


def settled(given: Input, dataset: Dataset, model: str) -> Input:
    """The input when the data are known: a model that says nothing of its range learns from raw pixels.

    Raises: DataError for arrays whose values the model is known not to take.
    """
    if given.value_range.known or given.preprocess.known:
        _check(dataset, given, model)
        return given
    if dataset.train.images.dtype != np.uint8:
        return given
    log.warning("%s: nothing says which values it takes: it is given raw pixels, 0 to 255 (value_range=)", model)
    return replace(given, value_range=Fact(BYTES, DEFAULT))


def needs_conversion(given: Input) -> bool:
    """Whether images of bytes are something else in the model's input."""
    return given.preprocess.known or (given.value_range.known and given.value_range.value != BYTES)


def _check(dataset: Dataset, given: Input, model: str) -> None:
    for part in dataset.parts():
        if isinstance(part.images, np.ndarray) and len(part):
            try:
                check_values(part.images, given, model)
            except ValueError as error:
                raise DataError(str(error)) from None


def labelled(dataset: Dataset, labels: Any) -> Dataset:
    """The data with these names of the classes. Raises: DataError for another number of them."""
    if labels is None:
        return dataset
    if len(labels) != len(dataset.class_names):
        raise DataError(f"{dataset.name} has {len(dataset.class_names)} classes. Received: {len(labels)} labels")
    return replace(dataset, class_names=tuple(labels))


def facts_of(given: Input) -> dict[str, Any]:
    """What config.json records of the images; the labels are with the data."""
    found: dict[str, Any] = {"resize": given.resize.value, "interpolation": given.interpolation.value}
    if given.preprocess.known:
        return found | {"preprocess": name_of(given.preprocess.value)}
    if given.value_range.known:
        return found | {"value_range": list(given.value_range.value)}
    return found
