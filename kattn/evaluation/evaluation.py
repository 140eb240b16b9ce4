"""`kattn.evaluate`: the same numbers for a Keras model, a run's folder and every exported file."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from kattn.data.arrays import ARRAYS
from kattn.data.dataset import Dataset, Split
from kattn.data.errors import DataError
from kattn.data.loading import load, local_data_dir, spec_of, stored_settings
from kattn.data.splits import limited
from kattn.evaluation.kinds import MEASURED, AnyEvaluation, kind_by_targets, known_kind, labels_for, measured
from kattn.evaluation.predictors import Predictor, open_predictor
from kattn.facts.description import MAP, UNKNOWN, WEIGHTS
from kattn.facts.pixels import AsInput
from kattn.facts.stated import Stated
from kattn.runs.data import TRAINED_ON, check_unchanged, warn_of_seen
from kattn.runs.folder import CONFIG
from kattn.runs.records import require

SPLITTING = {"split_seed", "split_by", "validation"}  # who says these wants other splits than the run's


def evaluate(
    model: Any,
    data: Any = None,
    *,
    split: str = "test",
    batch_size: int = 128,
    image_size: int | tuple[int, int] | None = None,
    split_seed: int | None = None,
    split_by: str | None = None,
    validation: float | None = None,
    limit: int | None = None,
    on_error: str | None = None,
    data_dir: str | Path | None = None,
    cache: bool | None = None,
    weights: str | None = None,
    output: str | int | None = None,
    kind: str | None = None,
    trust: bool = False,
    verbose: bool = False,
    value_range: tuple[float, float] | None = None,
    preprocess: Callable[[Any], Any] | None = None,
    resize: str | None = None,
    interpolation: str | None = None,
    labels: Sequence[str] | str | Path | None = None,
) -> AnyEvaluation:
    """Evaluate a model on labelled images, by the kind of its output: classes, yes or no, attributes, values, maps.

    Args:
        model: A Keras model, the folder of a run, a file (.keras, .tflite, .onnx), the folder of a SavedModel, a name
            of the zoo (with `weights`), what `kattn.export.load` gave, or a function from uint8 images (images, height,
            width, channels) to probabilities (images, classes).
        data: Anything `kattn.data.load` takes. None, for a run's folder: the data it was trained on.
        split: "test", "validation" or "train".
        batch_size: Images at a time; an exported file with a fixed batch sets its own.
        image_size, limit, on_error, data_dir, cache: As in `kattn.data.load`. Images are brought to the model's size.
        split_seed, split_by, validation: As in `kattn.data.load`. None takes the run's own where a run is evaluated,
            else 0, "name" and 0.1. A run that is evaluated on its own data takes its own limit and on_error too: no
            image that it was trained on is among its test images, of which `limit` then takes the first. Where the data
            have changed since, it goes on with a line in the log if no such image is there, and is an error else.
        weights: For a run's folder: "best" or "last"; None is what its recipe selects. For a name of the zoo: a tag,
            such as "cifar10", or a file.
        output: Name or number of the output to evaluate; None for "predictions" where there is one, else the first.
        kind: What the output is, where nothing says it: "classes", "binary", "attributes", "values", "map" or
            "integers" (class numbers).
        trust: Open an exported file also if it could do more than compute: see `kattn.export.load`.
        verbose: Show on a terminal how far it is.
        value_range, preprocess, resize, interpolation: What is known of the model's input, where neither the model nor
            what is recorded with it says it; see `kattn.facts.stated.Stated`. Arrays are taken as they are; images of
            bytes, and those of files, are brought to the range that the model takes.
        labels: Names of the model's classes in order: a list, or a text file with one a line. Data whose classes are
            named otherwise are refused; classes without names get these.

    Returns: An Evaluation of classes, a BinaryEvaluation of one sigmoid unit, an AttributeEvaluation of several, a
        ValueEvaluation of a regression, a MapEvaluation of classes a pixel; `str(...)` is one line.
    Raises: DataError for data that do not fit the model, ValueError for a model that cannot be evaluated, and for files
        where nothing says which values the model takes.
    """
    if split not in ("train", "validation", "test"):
        raise ValueError(f"split must be 'train', 'validation' or 'test'. Received: split={split!r}")
    stated = Stated(value_range, preprocess, resize, interpolation, labels)
    predictor = open_predictor(model, weights, trust, output, stated)
    run, asked = predictor.config, data is not None
    if run:
        require(run, ("data.spec", "data.settings", "data.class_names"), Path(predictor.name) / CONFIG)
    own = run["data"] if run and (data is None or run["data"]["spec"] in (str(data), spec_of(data))) else None
    if data is None:
        data = own["spec"] if own else None
        if data is None:
            raise DataError("Nothing to evaluate on: pass data=, such as 'digits', a TFDS name, a folder or arrays.")
    settings = stored_settings(run["data"]["settings"], predictor.name) if run else {}
    if run:
        data_dir = _where(predictor.name, spec_of(data), data_dir, settings.pop("data_dir", None), asked)
    given = {"image_size": image_size, "split_seed": split_seed, "validation": validation, "data_dir": data_dir}
    given |= {"on_error": on_error, "split_by": split_by}
    others = {name: value for name, value in given.items() if value is not None and value != settings.get(name)}
    settings |= others
    settings["limit"] = own.get("limit") if own else limit
    if taken := predictor.given:
        settings |= {"resize": taken.resize.value, "interpolation": taken.interpolation.value, "any_values": True}
    if predictor.image_size and settings.get("image_size") is None:
        settings["image_size"] = predictor.image_size
    known = known_kind(predictor.kind, kind)
    targets, classes = labels_for(predictor.kind, predictor.shape, predictor.output, kind)
    dataset = load(
        data, channels=predictor.channels, classes=classes, targets=targets, splits=(split,), cache=cache, **settings
    )
    if run and own and not others.keys() & SPLITTING:
        alike = not others.keys() - {"data_dir"} and not (resize or interpolation)
        check_unchanged(Path(predictor.name), run, dataset, split, alike=alike)
    elif run and split in TRAINED_ON:
        warn_of_seen(Path(predictor.name), dataset, split)
    dataset = limited(dataset, limit)
    if run:
        _check_classes(run["data"]["class_names"], dataset)
    dataset = _named_as_learned(predictor, dataset)
    part: Split = getattr(dataset, split)
    if not len(part):
        raise DataError(f"The {split} split of {dataset.name} is empty: there is nothing to evaluate on.")
    images: Any = part.images
    if taken:
        images = AsInput(images, taken, predictor.name, files=dataset.name != ARRAYS)
    answers = predictor.run(images, batch_size)
    answers = _with_progress(answers, len(part)) if verbose else answers
    data_name = dataset.name if split == "test" else f"{dataset.name} ({split})"
    names = {"model": predictor.name, "data": data_name}
    if known == MAP:  # a map of 21 classes takes 20 MB an image: one batch after the other
        return MEASURED[MAP].measure(answers, part.labels, dataset.class_names, **names)
    outputs = np.concatenate(list(answers))
    known = known or kind_by_targets(dataset.targets, outputs.shape[1:], outputs.dtype.kind in "iub")
    row = measured(known, outputs.ndim, predictor.output)
    return row.measure(outputs, part.labels, dataset.class_names, **names)


def _where(run: str, data: str | None, given: Any, own: Any, asked: bool) -> Any:
    """Where TFDS keeps the data of a run: where the caller says, else where the run says if they are there."""
    places = (own, None) if given is None else (given,)
    try:
        return local_data_dir(data, *places, who=run)
    except DataError:
        if not asked:  # whoever names data wants them, if need be downloaded: but not to where a file says
            raise
        return given


def _with_progress(answers: Iterator[np.ndarray], total: int) -> Iterator[np.ndarray]:
    """Pass the answers on; show their number on a terminal, about five times a second."""
    live = sys.stdout.isatty()
    done, shown = 0, time.perf_counter()
    for answer in answers:
        yield answer
        done += len(answer)
        if live and time.perf_counter() - shown > 0.2:
            shown = time.perf_counter()
            print(f"\r\033[K{done} of {total} images", end="", flush=True)
    if live:
        print("\r\033[K", end="", flush=True)


def _named_as_learned(predictor: Predictor, dataset: Dataset) -> Dataset:
    """The data with the model's names for classes that have none.

    Raises: DataError where a class has another name than the model's of the same number. Published weights have the
        words of a language for classes that data may name by codes: these are not compared.
    """
    labels = predictor.described.labels if predictor.described else UNKNOWN
    if not labels.known or labels.origin == WEIGHTS:
        return dataset
    here = dataset.class_names
    differ = [i for i, (name, own) in enumerate(zip(here, labels.value, strict=False)) if name not in (own, str(i))]
    if differ:
        i = differ[0]
        raise DataError(
            f"Class {i} is {labels.value[i]!r} to {predictor.name} ({labels.origin}), and {here[i]!r} in "
            f"{dataset.name}. Number the classes alike."
        )
    if len(here) > len(labels.value):
        return dataset
    return replace(dataset, class_names=tuple(labels.value[: len(here)]))


def _check_classes(learned: list[str], dataset: Dataset) -> None:
    """Check that class 3 means the same to the run and to the data, where both have names for their classes."""
    here = list(dataset.class_names)
    named = all(names != [str(i) for i in range(len(names))] for names in (learned, here))
    if named and learned != here:
        raise DataError(
            f"The run learned the classes {learned[:5]}..., {dataset.name} has {here[:5]}...: pass data= with the "
            "classes of the run."
        )
