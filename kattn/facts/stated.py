"""What a user can state of a model: one table for the library's arguments, the command line and what is recorded."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from kattn.data.resizing import INTERPOLATIONS, RESIZES, check_resizing
from kattn.reading import Unreadable, read_text
from kattn.suggest import unknown

BYTES = (0.0, 255.0)  # the range of 8-bit images
# Defaults of what is not stated and nowhere recorded.
RESIZE, INTERPOLATION = "crop", "bicubic"


@dataclass(frozen=True)
class Stated:
    """What was stated; None is what was not. Checked when it is made.

    Attributes:
        value_range: (low, high): what 0 and 255 of an 8-bit image are in the model's input, such as (0, 1) or (-1, 1).
        preprocess: What makes the model's input of 8-bit images where that is more than a range: a function from
            float32 pixels 0-255 (images, height, width, channels) to an array, such as that of keras.applications.
        resize: How pictures are brought to the model's size: "crop" scales the shorter side and cuts out the middle,
            "stretch" changes the proportions, "pad" scales the longer side and fills with black.
        interpolation: One of nearest, box, bilinear, hamming, bicubic, lanczos.
        labels: Names of the classes or attributes in order, or a text file with one a line.
        kinds: What the outputs are (`kattn.facts.description.KINDS`): one kind for all, or one by output.

    Raises: ValueError for what cannot be.
    """

    value_range: Sequence[float] | None = None
    preprocess: Callable[[Any], Any] | None = None
    resize: str | None = None
    interpolation: str | None = None
    labels: Sequence[str] | str | Path | None = None
    kinds: str | Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.value_range is not None:
            if self.preprocess is not None:
                raise ValueError("value_range and preprocess say the same: give one of them.")
            object.__setattr__(self, "value_range", _range(self.value_range))
        if self.preprocess is not None and not callable(self.preprocess):
            raise ValueError(f"preprocess must be a function of images. Received: {self.preprocess!r}")
        check_resizing(self.resize or RESIZE, self.interpolation or INTERPOLATION)
        if self.labels is not None:
            object.__setattr__(self, "labels", read_labels(self.labels))

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Stated:
        """From the further keyword arguments of a call. Raises: TypeError for one that states nothing."""
        names = [one.name for one in fields(cls)]
        if wrong := next((name for name in options if name not in names), None):
            raise TypeError(str(unknown("keyword argument", wrong, names)))
        return cls(**options)

    def kinds_of(self, outputs: Iterable[str]) -> dict[str, str]:
        """Output to kind, where one kind for all is one for each of these outputs."""
        return dict.fromkeys(outputs, self.kinds) if isinstance(self.kinds, str) else dict(self.kinds)

    def record(self) -> dict[str, Any]:
        """What is stated, as JSON holds it; a function cannot be recorded here."""
        found = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "preprocess"}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items() if value}

    def over(self, other: Stated) -> Stated:
        """What is stated here, and of the rest what is stated there."""
        merged = {one.name: getattr(self, one.name) or getattr(other, one.name) for one in fields(self)}
        if self.value_range or self.preprocess:
            merged |= {"value_range": self.value_range, "preprocess": self.preprocess}
        return Stated(**merged)


NAMES = tuple(one.name for one in fields(Stated))


@dataclass(frozen=True)
class Option:
    """An argument that states something, as the command line has it.

    Attributes:
        help: What it is.
        metavar: What a value looks like.
        choices: The values there are.
    """

    help: str
    metavar: str | None = None
    choices: tuple[str, ...] | None = None


# Name of an argument of Stated to how the command line shows it; what is a function is the library's alone.
OPTIONS: dict[str, Option] = {
    "value_range": Option("what 0 and 255 of an 8-bit image are in the model's input, such as -1,1", "LOW,HIGH"),
    "resize": Option(
        f"how pictures are brought to the model's size (default: as recorded, else {RESIZE})", None, RESIZES
    ),
    "interpolation": Option(f"of resizing (default: as recorded, else {INTERPOLATION})", choices=INTERPOLATIONS),
    "labels": Option("names of the classes: a text file with one a line, or names with commas between", "FILE"),
}


def read_labels(labels: Sequence[str] | str | Path) -> tuple[str, ...]:
    """Names of classes from a list, or from a text file with one a line.

    Raises: ValueError for a file that cannot be read, for no names, and for what is no text.
    """
    if isinstance(labels, (str, Path)):
        path = Path(labels).expanduser()
        try:
            lines = read_text(path).removeprefix("\ufeff").splitlines()
        except (OSError, Unreadable) as error:
            reason = getattr(error, "strerror", None) or f"it {error}"
            raise ValueError(
                f"The labels {path} cannot be read: {reason}. Give a list, or a file of a name a line."
            ) from None
        while lines and not lines[-1].strip():
            lines.pop()
        labels = [line.strip() for line in lines]
    found = tuple(str(label) for label in labels)
    if not found or not all(isinstance(label, str) and label for label in labels):
        raise ValueError(f"labels are the names of the classes, one text each. Received: {labels!r:.100}")
    return found


def _range(given: Any) -> tuple[float, float]:
    try:
        low, high = (float(end) for end in given)
    except (TypeError, ValueError):
        low, high = math.nan, math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(
            "value_range is two numbers, the lower one first: what 0 and 255 of an 8-bit image are in the model's "
            f"input, such as (0, 255), (0, 1) or (-1, 1). Received: {given!r}"
        )
    return low, high
