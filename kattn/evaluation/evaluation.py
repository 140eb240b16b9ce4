"""Evaluation: the same numbers for a Keras model, a run folder and every exported file."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kattn.data.dataset import Dataset, Split
from kattn.data.errors import DataError
from kattn.data.loading import load
from kattn.data.splits import limited
from kattn.graph.outputs import MAIN_OUTPUT, class_count, main_output

CALIBRATION_BINS = 15


@dataclass(frozen=True)
class Evaluation:
    """How well a classifier does on a set of images.

    Attributes:
        images, classes: Counts.
        top1: Share of images whose highest probability is at their class.
        top5: Share of images whose class is among the five highest; None for five classes or fewer.
        loss: Mean cross-entropy in nats.
        calibration_error: Expected gap between confidence and accuracy over 15 bins (Guo et al., arXiv:1706.04599).
        per_class: Accuracy by class name; None for a class without images.
        confusion: confusion[i][j] images of class i were called j.
        model, data: What was evaluated on what.
        first_level: Top-1 of the part of the class names before "/", probabilities summed; None without such names.
    """

    images: int
    classes: int
    top1: float
    top5: float | None
    loss: float
    calibration_error: float
    per_class: dict[str, float | None]
    confusion: list[list[int]]
    model: str = ""
    data: str = ""
    first_level: float | None = None

    @property
    def accuracy(self) -> float:
        """Top-1: what there is one number for, of classes and of attributes."""
        return self.top1

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON holds it."""
        return asdict(self)

    def __str__(self) -> str:
        top5 = "" if self.top5 is None else f", top-5 {self.top5:.2%}"
        first = "" if self.first_level is None else f", first level {self.first_level:.2%}"
        return (
            f"{self.model} on {self.images} images of {self.data}: accuracy {self.top1:.2%}{top5}{first}, "
            f"loss {self.loss:.4f}, calibration error {self.calibration_error:.4f}"
        )


@dataclass(frozen=True)
class AttributeEvaluation:
    """How well a model does that tells for each of several attributes whether an image has it.

    Attributes:
        images, attributes: Counts.
        accuracy: Share of right answers (probability above one half) over all images and attributes.
        average_precision: Mean over the attributes of the area under precision against recall, those left out that all
            images or none have; None where that leaves none.
        loss: Mean binary cross-entropy in nats.
        calibration_error: As in Evaluation, of all answers.
        per_attribute: Accuracy by name.
        model, data: What was evaluated on what.
    """

    images: int
    attributes: int
    accuracy: float
    average_precision: float | None
    loss: float
    calibration_error: float
    per_attribute: dict[str, float]
    model: str = ""
    data: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON holds it."""
        return asdict(self)

    def __str__(self) -> str:
        precision = "" if self.average_precision is None else f", average precision {self.average_precision:.2%}"
        return (
            f"{self.model} on {self.images} images of {self.data}: {self.attributes} attributes, accuracy "
            f"{self.accuracy:.2%}{precision}, loss {self.loss:.4f}, calibration error {self.calibration_error:.4f}"
        )


def from_dict(content: dict[str, Any]) -> Evaluation | AttributeEvaluation:
    """What `to_dict` gave."""
    return AttributeEvaluation(**content) if "per_attribute" in content else Evaluation(**content)


def evaluate(
    model: Any,
    data: Any = None,
    *,
    split: str = "test",
    batch_size: int = 128,
    image_size: int | tuple[int, int] | None = None,
    split_seed: int | None = None,
    validation: float | None = None,
    limit: int | None = None,
    on_error: str | None = None,
    data_dir: str | Path | None = None,
    cache: bool | None = None,
    weights: str | None = None,
    verbose: bool = False,
) -> Evaluation | AttributeEvaluation:
    """Evaluate a classifier.

    Args:
        model: A Keras model, the folder of a run, a file (.keras, .tflite, .onnx), the folder of a SavedModel, or a
            function from uint8 images (images, height, width, channels) to probabilities (images, classes).
        data: Anything `kattn.data.load` takes. None, for a run's folder: the data it was trained on.
        split: "test", "validation" or "train".
        batch_size: Images at a time; an exported file with a fixed batch sets its own.
        image_size, limit, on_error, data_dir, cache: As in `kattn.data.load`. Images are brought to the model's size.
        split_seed, validation: As there; None is the run's own where a run is evaluated, else 0 and 0.1.
            So it is with limit (at most) and on_error on the run's own data: no image that the run was trained on is
            ever among its test images.
        weights: For a run's folder: "best" or "last"; None is what its recipe selects.
        verbose: Show on a terminal how far it is.

    Returns: An Evaluation, or for data with attributes an AttributeEvaluation; `str(...)` is one line.
    Raises: DataError for data that do not fit the model, ValueError for a model that cannot be evaluated.
    """
    if split not in ("train", "validation", "test"):
        raise ValueError(f"split must be 'train', 'validation' or 'test'. Received: split={split!r}")
    run = _run_config(model)
    own = run["data"] if run and (data is None or str(data) == run["data"]["spec"]) else None
    if data is None:
        data = own["spec"] if own else None
        if data is None:
            raise DataError("Nothing to evaluate on: pass data=, such as 'digits', a TFDS name, a folder or arrays.")
    settings = dict(run["data"]["settings"]) if run else {}
    given = {"image_size": image_size, "split_seed": split_seed, "validation": validation, "data_dir": data_dir}
    given["on_error"] = on_error
    settings |= {name: value for name, value in given.items() if value is not None}
    settings["limit"] = own["limit"] if own else limit
    predictor = open_predictor(model, weights)
    if predictor.image_size and settings.get("image_size") is None:
        settings["image_size"] = predictor.image_size
    dataset = load(
        data, channels=predictor.channels, classes=predictor.classes, splits=(split,), cache=cache, **settings
    )
    dataset = limited(dataset, limit)
    _same_classes(run, dataset)
    part: Split = getattr(dataset, split)
    if not len(part):
        raise DataError(f"The {split} split of {dataset.name} is empty: there is nothing to evaluate on.")
    answers = predictor.run(part.images, batch_size)
    probabilities = np.concatenate(list(_shown(answers, len(part)) if verbose else answers))
    of = measure_attributes if part.labels.ndim == 2 else measure
    return of(probabilities, part.labels, dataset.class_names, model=predictor.name, data=_data_name(dataset, split))


def measure_attributes(
    outputs: np.ndarray, labels: np.ndarray, names: Any = None, *, model: str = "", data: str = ""
) -> AttributeEvaluation:
    """The numbers of an AttributeEvaluation from outputs and labels (images, attributes).

    Outputs are probabilities; values outside 0 to 1 are taken for logits.
    """
    from sklearn.metrics import average_precision_score

    outputs, labels = _finite(outputs, model, data), np.asarray(labels).astype(bool)
    if outputs.min() < -1e-3 or outputs.max() > 1 + 1e-3:
        outputs = 1 / (1 + np.exp(-outputs))
    outputs = np.clip(outputs, 0.0, 1.0)
    right = (outputs > 0.5) == labels
    of_truth = np.where(labels, outputs, 1 - outputs)
    told = [
        float(average_precision_score(labels[:, i], outputs[:, i]))
        for i in range(labels.shape[1])
        if 0 < labels[:, i].sum() < len(labels)
    ]
    names = names if names is not None else [str(i) for i in range(labels.shape[1])]
    return AttributeEvaluation(
        images=len(labels),
        attributes=labels.shape[1],
        accuracy=float(right.mean()),
        average_precision=float(np.mean(told)) if told else None,
        loss=float(-np.log(np.maximum(of_truth, 1e-7)).mean()),
        calibration_error=calibration_error(np.maximum(outputs, 1 - outputs).ravel(), right.ravel()),
        per_attribute={str(name): float(right[:, i].mean()) for i, name in enumerate(names)},
        model=model,
        data=data,
    )


def _finite(outputs: np.ndarray, model: str, data: str) -> np.ndarray:
    outputs = np.asarray(outputs, "float64")
    if not np.isfinite(outputs).all():
        raise ValueError(f"{model or 'The model'} gives values that are not finite for {data or 'these images'}.")
    return outputs


def first_level(probabilities: np.ndarray, labels: np.ndarray, names: Any) -> float | None:
    """Top-1 of what stands before "/" in the class names; None where not every name has it."""
    if not all("/" in name for name in names):
        return None
    firsts = [name.partition("/")[0] for name in names]
    groups = sorted(set(firsts))
    member = np.array([[first == group for group in groups] for first in firsts], float)
    of_class = np.array([groups.index(first) for first in firsts])
    return float(((probabilities @ member).argmax(axis=1) == of_class[labels]).mean())


def measure(
    outputs: np.ndarray, labels: np.ndarray, class_names: Any = None, *, model: str = "", data: str = ""
) -> Evaluation:
    """The numbers of an Evaluation from outputs (images, classes) and labels (images,).

    Outputs are probabilities; values outside 0 to 1 are taken for logits.
    """
    outputs = _finite(outputs, model, data)
    count, classes = outputs.shape
    if outputs.min() < -1e-3 or outputs.max() > 1 + 1e-3:
        outputs = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    probabilities = outputs / np.maximum(outputs.sum(axis=1, keepdims=True), 1e-12)
    names = list(class_names) if class_names is not None else [str(i) for i in range(classes)]
    answers = probabilities.argmax(axis=1)
    confusion = np.zeros((classes, classes), int)
    np.add.at(confusion, (labels, answers), 1)
    sizes = confusion.sum(axis=1)
    right = answers == labels
    of_class = probabilities[np.arange(count), labels]
    rank = (probabilities > of_class[:, None]).sum(axis=1)
    return Evaluation(
        images=count,
        classes=classes,
        top1=float(right.mean()),
        top5=float((rank < 5).mean()) if classes > 5 else None,
        loss=float(-np.log(np.maximum(of_class, 1e-7)).mean()),
        calibration_error=calibration_error(probabilities.max(axis=1), right),
        per_class={
            name: float(confusion[i, i] / sizes[i]) if sizes[i] else None for i, name in enumerate(names[:classes])
        },
        confusion=confusion.tolist(),
        model=model,
        data=data,
        first_level=first_level(probabilities, labels, names),
    )


def calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = CALIBRATION_BINS) -> float:
    """Mean over images of |accuracy - confidence| of the image's bin of confidence."""
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(place, weights=right.astype(float) - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))


@dataclass(frozen=True)
class Predictor:
    """Something that answers for images, and what it takes."""

    name: str
    run: Callable[[Any, int], Iterator[np.ndarray]]
    image_size: tuple[int, int] | None = None
    channels: int | None = None
    classes: int | None = None


def open_predictor(model: Any, weights: str | None = None) -> Predictor:
    """A Predictor of anything `evaluate` takes."""
    if isinstance(model, (str, Path)):
        path = Path(model).expanduser()
        if not path.exists():
            raise ValueError(
                f"There is no {path}: pass a run's folder, a .keras, .tflite or .onnx file, or a SavedModel."
            )
        if (path / "config.json").is_file() and (path / "model.json").is_file():
            from kattn.runs.folder import RunFolder

            return _keras_predictor(RunFolder(path).load_model(weights), str(path))
        if path.suffix == ".keras":
            return _keras_predictor(load_keras(path), str(path))
        return _artefact_predictor(path)
    if hasattr(model, "predict_on_batch"):
        return _keras_predictor(model, model.name)
    if callable(model):
        return Predictor(getattr(model, "__name__", "function"), lambda images, size: _calls(model, images, size))
    raise ValueError(f"Cannot evaluate a {type(model).__name__}: pass a Keras model, a path, or a function of images.")


def load_keras(path: Path) -> Any:
    """A .keras file as a model. Raises ValueError for a file that is none."""
    import keras

    import kattn.layers  # noqa: F401  registers the layers that the file names

    try:
        return keras.saving.load_model(path, compile=False)
    except OSError as error:
        raise ValueError(f"{path} is not a readable .keras file: {str(error).splitlines()[0]}") from error


def _keras_predictor(model: Any, name: str) -> Predictor:
    output = main_output(model)
    shape = model.input_shape
    if isinstance(shape, (list, dict)) or len(shape) != 4:
        raise ValueError(f"{model.name} does not take one batch of images. Its input shape: {shape}")

    def run(images: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
        for start in range(0, len(images), batch_size):
            batch = images[start : start + batch_size]
            missing = min(batch_size, len(images)) - len(batch)  # one shape only: nothing is compiled twice
            padded = np.concatenate([batch, np.zeros((missing, *batch.shape[1:]), batch.dtype)]) if missing else batch
            answer = model.predict_on_batch(padded)
            yield np.asarray(answer if output is None else answer[output], "float32")[: len(batch)]

    size = (shape[1], shape[2]) if shape[1] and shape[2] else None
    return Predictor(name, run, size, shape[3], class_count(model))


def _artefact_predictor(path: Path) -> Predictor:
    """An exported file in its own runtime, which is imported where it is used."""
    from kattn.export.formats import load as load_artefact

    runner = load_artefact(path)
    output = MAIN_OUTPUT if MAIN_OUTPUT in runner.outputs else runner.outputs[0]
    height, width, channels = runner.shape

    def run(images: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
        for start in range(0, len(images), batch_size):
            yield runner(images[start : start + batch_size], batch_size=batch_size)[output]

    return Predictor(str(path), run, (height, width) if height and width else None, channels)


def _calls(function: Callable[[np.ndarray], Any], images: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    for start in range(0, len(images), batch_size):
        yield np.asarray(function(images[start : start + batch_size]), "float32")


def _run_config(model: Any) -> dict[str, Any] | None:
    """The configuration of a run's folder, or None for anything else."""
    if not isinstance(model, (str, Path)):
        return None
    file = Path(model).expanduser() / "config.json"
    if not file.is_file() or not (file.parent / "model.json").is_file():
        return None
    return json.loads(file.read_text(encoding="utf-8"))


def _shown(answers: Iterator[np.ndarray], total: int) -> Iterator[np.ndarray]:
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


def _same_classes(run: dict[str, Any] | None, dataset: Dataset) -> None:
    """Class 3 must mean the same to the run and to the data, where both have names for their classes."""
    if run is None:
        return
    learned, here = run["data"]["class_names"], list(dataset.class_names)
    numbers = [[str(i) for i in range(len(names))] for names in (learned, here)]
    if learned != here and learned != numbers[0] and here != numbers[1]:
        raise DataError(
            f"The run learned the classes {learned[:5]}..., {dataset.name} has {here[:5]}...: not the same."
        )


def _data_name(dataset: Dataset, split: str) -> str:
    return dataset.name if split == "test" else f"{dataset.name} ({split})"
