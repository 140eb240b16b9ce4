"""`kattn.predict`: what a model answers for image files, in words."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kattn.data.errors import DataError
from kattn.data.image_files import files_named
from kattn.data.images import Notes, read_image
from kattn.data.resizing import check_size
from kattn.data.stored import in_threads
from kattn.evaluation.answers import Prediction, answers
from kattn.evaluation.predictors import Predictor, open_predictor
from kattn.facts.kind_of_values import kind_of_values
from kattn.facts.pixels import AsInput
from kattn.facts.stated import Stated
from kattn.files import write_csv, write_json

log = logging.getLogger("kattn")


class Predictions(list[Prediction]):
    """The answers, one an image, in the order of the images; `str` is a line for each."""

    def to_dicts(self) -> list[dict[str, Any]]:
        """As JSON holds them."""
        return [one.to_dict() for one in self]

    def write(self, path: str | Path) -> None:
        """Write a .json file, or a .csv file with a row a label (image, rank, label, score) or value (image, values).

        Raises: ValueError for another suffix; OSError, and what was there is as it was.
        """
        suffix = Path(path).suffix
        if suffix not in (".csv", ".json"):
            raise ValueError(f"predictions are written to a file that ends in .csv or .json. Received: {str(path)!r}")
        if suffix == ".json":
            write_json(path, self.to_dicts())
        else:
            rows = list(self.rows())
            write_csv(path, rows, list(rows[0]) if rows else ["image"])

    def rows(self) -> Iterator[dict[str, Any]]:
        """The rows of a table."""
        for one in self:
            for rank, (label, score) in enumerate(one.best, start=1):
                yield {"image": one.image, "rank": rank, "label": label, "score": "" if score is None else score}
            if not one.best:
                yield {"image": one.image} | {f"value_{i}": number for i, number in enumerate(np.ravel(one.values))}

    def __str__(self) -> str:
        return "\n".join(map(str, self))


def predict(
    model: Any,
    images: Any,
    *,
    top: int = 5,
    output: str | int | None = None,
    weights: str | None = None,
    image_size: int | tuple[int, int] | None = None,
    batch_size: int = 32,
    on_error: str = "skip",
    max_pixels: int | None = None,
    trust: bool = False,
    **stated: Any,
) -> Predictions:
    """What a model answers for images: the labels of the highest scores, or numbers, by the kind of its output.

    Files are read as training and evaluation read them, and brought to the model's size and range as it is recorded or
    stated.

    Args:
        model: Anything that `kattn.evaluate` takes: a Keras model, the folder of a run, a file (.keras, .tflite,
            .onnx), the folder of a SavedModel, a name of the zoo with `weights`, what `kattn.export.load` gave.
        images: Image files, folders with all that is in them, and patterns such as "photos/*.jpg", one or several; or
            an array (images, height, width, channels), which is taken as it is (bytes are 8-bit images).
        top: How many labels an image gets at most.
        output: Name or number of the output; None for "predictions" where there is one, else the first.
        weights: Of a run: "best" or "last". Of a name of the zoo: a tag, such as "cifar10", or a file.
        image_size: Height and width (or one number for both), for a model that leaves them open.
        batch_size: Images at a time.
        on_error: What to do with a file that is no readable image: "skip" leaves it out and logs it; "raise" stops.
        max_pixels: The largest width x height of a file that is decoded; None is kattn.data.images.MAX_PIXELS.
        trust: As in `kattn.export.load`.
        stated: value_range, preprocess, resize, interpolation, labels, kinds; see `kattn.facts.stated.Stated`.

    Returns: The Predictions, a list of `Prediction`: `.best` are labels with scores, `.values` the output.
    Raises: ValueError for what is no model, for files where nothing says which values the model takes, for a path that
        is not there, and where no image is left; DataError, a ValueError, for a file that cannot be read.
    """
    if on_error not in ("skip", "raise"):
        raise ValueError(f"on_error must be 'skip' or 'raise'. Received: on_error={on_error!r}")
    if top < 1 or batch_size < 1:
        raise ValueError(f"top and batch_size must be at least 1. Received: top={top}, batch_size={batch_size}")
    predictor = open_predictor(model, weights, trust, output, Stated.of(stated))
    if predictor.given is None:
        raise ValueError("predict needs a model or a path; a function is called as it is.")
    if hasattr(images, "__array__"):
        return _of_arrays(predictor, np.asarray(images), top, batch_size)
    size = predictor.image_size or _sides(image_size, predictor.name)
    files = files_named(images)
    read = functools.partial(
        read_image,
        size=size,
        channels=predictor.channels or 3,
        resize=predictor.given.resize.value,
        interpolation=predictor.given.interpolation.value,
        max_pixels=max_pixels,
    )
    found = Predictions()
    for paths, pixels in _batches(files, read, batch_size, on_error):
        known = AsInput(pixels, predictor.given, predictor.name, files=True)
        found += _answers(predictor, known, [str(path) for path in paths], top)
    return found


def _of_arrays(predictor: Predictor, array: np.ndarray, top: int, batch_size: int) -> Predictions:
    if array.ndim != 4 or not len(array) or array.dtype.kind not in "uif":
        raise ValueError(
            f"images must be numbers (images, height, width, channels). Received: {array.dtype} of shape {array.shape}"
        )
    assert predictor.given is not None
    known = AsInput(array, predictor.given, predictor.name, files=False)
    return Predictions(_answers(predictor, known, [str(i) for i in range(len(array))], top, batch_size))


def _answers(
    predictor: Predictor, images: AsInput, names: Sequence[str], top: int, batch_size: int | None = None
) -> list[Prediction]:
    described = predictor.described
    assert described is not None
    outputs = np.concatenate(list(predictor.run(images, batch_size or len(images))))
    return answers(
        outputs,
        names,
        kind=described.kind.value or kind_of_values(outputs).value,
        labels=described.labels.value,
        activated=described.activated,
        top=top,
    )


def _batches(
    files: Sequence[Path], read: Callable[[Path], Any], batch_size: int, on_error: str
) -> Iterator[tuple[list[Path], np.ndarray]]:
    """The files that can be read, with their pixels, so many at a time."""
    notes, failed = Notes("images to predict"), 0
    paths: list[Path] = []
    pixels: list[np.ndarray] = []
    for file, reading in zip(files, in_threads(functools.partial(_attempt, read), files), strict=True):
        if isinstance(reading, DataError):
            if on_error == "raise":
                raise reading
            failed += 1
            log.warning("left out: %s", reading)
            continue
        paths.append(file)
        pixels.append(notes.add(reading))
        if len(paths) == batch_size:
            yield paths, np.stack(pixels)
            paths, pixels = [], []
    if paths:
        yield paths, np.stack(pixels)
    notes.log()
    if failed == len(files):
        raise ValueError(f"none of the {failed} files is a readable image, such as {files[0]}.")
    if failed:
        log.warning("%d of %d files left out", failed, len(files))


def _attempt(read: Callable[[Path], Any], file: Path) -> Any:
    try:
        return read(file)
    except DataError as error:
        return DataError(str(error))


def _sides(image_size: int | Iterable[int] | None, model: str) -> tuple[int, int]:
    if image_size is None:
        raise ValueError(f"{model} leaves its image size open: say which with image_size=.")
    height, width = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    check_size((height, width))
    return height, width
