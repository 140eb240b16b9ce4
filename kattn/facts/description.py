"""What is known of a model's input and outputs, and where each fact comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

# Where a fact comes from.
STATED = "stated"  # by an argument of the call
RUN = "run"  # the folder of a training run
CERTIFICATE = "certificate"  # the report beside an exported file
FILE = "file"  # the exported file itself: its metadata, the type of its input
WEIGHTS = "weights"  # the file or the published weights that the model was built with
ZOO = "zoo"  # how the zoo builds this network
MODEL = "model"  # the Keras model's own graph: shapes, types, last operations
COMPILED = "compiled"  # the loss that the model was compiled with
MEASURED = "measured"  # worked out from numbers, in the graph or on images
DEFAULT = "default"  # kattn's own choice where nothing else is said

# Kinds of outputs.
CLASSES = "classes"  # one of several classes an image: (batch, classes)
BINARY = "binary"  # yes or no: one unit
ATTRIBUTES = "attributes"  # several answers of yes or no
VALUES = "values"  # numbers without a fixed scale: a regression
MAP = "map"  # classes of each pixel or position: (batch, ..., classes)
EMBEDDING = "embedding"  # a description of the image, compared by its direction
INTEGERS = "integers"  # class numbers, indices
SCORES = (CLASSES, BINARY, ATTRIBUTES, MAP)  # those that are probabilities, or scores in front of them
KINDS = (CLASSES, BINARY, ATTRIBUTES, VALUES, MAP, EMBEDDING, INTEGERS)


@dataclass(frozen=True)
class Fact:
    """One fact.

    Attributes:
        value: What is known; None where nothing is.
        origin: Where it comes from; "" where nothing is known.
        detail: How it was found, for people.
    """

    value: Any = None
    origin: str = ""
    detail: str = ""

    @property
    def known(self) -> bool:
        """Whether there is a value."""
        return self.value is not None

    def __str__(self) -> str:
        if not self.known:
            return f"not known{f' ({self.detail})' if self.detail else ''}"
        text = name_of(self.value) if callable(self.value) else str(self.value)
        if isinstance(self.value, (list, tuple)):
            text = _shortened([f"{v:g}" if isinstance(v, float) else str(v) for v in self.value])
        return f"{text}  [{self.origin}{f': {self.detail}' if self.detail else ''}]"


UNKNOWN = Fact()


@dataclass(frozen=True)
class Input:
    """What a model takes.

    Attributes:
        name: Of the tensor.
        shape: Without the batch: (height, width, channels) of images, None for what is left open.
        dtype: "float32", "uint8" ...
        value_range: What 0 and 255 of an 8-bit image are in the model's input: (low, high).
        resize: How pictures are brought to the model's size: "crop", "stretch" or "pad".
        interpolation: "bicubic" ...
        preprocess: The function that makes the model's input of 8-bit images, in place of a value range.
        typical: A range that the first layers bring to about -1 to 1, for images that are made up; None where they do
            no arithmetic.
    """

    name: str
    shape: Fact
    dtype: Fact
    value_range: Fact = UNKNOWN
    resize: Fact = UNKNOWN
    interpolation: Fact = UNKNOWN
    preprocess: Fact = UNKNOWN
    typical: tuple[float, float] | None = None

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width of the images; None where they are open, or where these are no images."""
        shape = self.shape.value
        return (shape[0], shape[1]) if shape and len(shape) == 3 and shape[0] and shape[1] else None

    @property
    def channels(self) -> int | None:
        """Channels of the images; None where they are open, or where these are no images."""
        shape = self.shape.value
        return shape[2] if shape and len(shape) == 3 else None


@dataclass(frozen=True)
class Output:
    """What a model gives.

    Attributes:
        name: Of the output.
        shape: Without the batch.
        kind: One of KINDS.
        activated: Whether the values are probabilities; False for the scores in front of softmax or sigmoid. None where
            that has no meaning, and for logarithms of probabilities.
        labels: The names of the classes or attributes, in order.
    """

    name: str
    shape: tuple[int | None, ...]
    kind: Fact
    activated: bool | None = None
    labels: Fact = UNKNOWN


@dataclass(frozen=True)
class Description:
    """What a model takes and gives; `str` of it is a table for people.

    Attributes:
        name: Of the model or file.
        source: "model", "zoo", "run", "keras" or the format of an exported file.
        inputs: By name, in order.
        outputs: By name, in order.
    """

    name: str
    source: str
    inputs: Mapping[str, Input]
    outputs: Mapping[str, Output] = field(default_factory=dict)

    @property
    def input(self) -> Input:
        """The image, of a model that takes one input. Raises: ValueError for another number of inputs."""
        if len(self.inputs) != 1:
            raise ValueError(f"{self.name} takes {len(self.inputs)} inputs: {', '.join(self.inputs)}.")
        return next(iter(self.inputs.values()))

    @property
    def output(self) -> Output:
        """The main output: "predictions" where there is one of that name, else the first."""
        return self.outputs.get("predictions") or next(iter(self.outputs.values()))

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON holds it; of a function its name."""
        content = asdict(self)
        for one, given in zip(content["inputs"].values(), self.inputs.values(), strict=True):
            del one["typical"]
            one["preprocess"]["value"] = name_of(given.preprocess.value)
        return content

    def __str__(self) -> str:
        lines = [f"{self.name} ({self.source})"]
        for one in self.inputs.values():
            facts = {name: getattr(one, name) for name in ("shape", "dtype", "value_range", "resize", "interpolation")}
            facts |= {"preprocess": one.preprocess} if one.preprocess.known else {}
            lines.append(f"  input {one.name}")
            lines += [f"    {name.replace('_', ' '):14}{fact}" for name, fact in facts.items()]
        for out in self.outputs.values():
            scores = "" if out.activated is None else "probabilities" if out.activated else "scores, not probabilities"
            shape = " x ".join("any" if side is None else str(side) for side in out.shape)
            lines.append(f"  output {out.name}")
            lines.append(f"    {'kind':14}{out.kind}")
            lines.append(f"    {'values':14}{', '.join(filter(None, [shape, scores]))}")
            lines += [f"    {'labels':14}{out.labels}"] if out.labels.known else []
        return "\n".join(lines)


def name_of(function: Any) -> str | None:
    """A function's module and name, as it is shown and recorded; None for None."""
    if function is None:
        return None
    name = getattr(function, "__qualname__", type(function).__name__)
    return f"{getattr(function, '__module__', '')}.{name}".lstrip(".")


def _shortened(texts: Sequence[str], most: int = 8) -> str:
    if len(texts) <= most:
        return ", ".join(texts)
    return f"{', '.join(texts[:most])}, ... ({len(texts)})"
