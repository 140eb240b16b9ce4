"""Training recipes as data: one frozen dataclass, one TOML file each (`zoo/recipes/`)."""

from __future__ import annotations

import dataclasses
import importlib.util
import numbers
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kattn.reading import Unreadable, read_text
from kattn.suggest import unknown

OPTIMIZERS = ("sgd", "adamw")
CONVENTIONS = ("torch", "caffe")  # those of training.optimisation.optimizers, known without Keras
SCHEDULES = ("constant", "step", "cosine", "linear", "power")  # those of training.optimisation.schedules


# Annotation of a field -> what its values are, for errors.
TYPES = {
    "bool": "true or false",
    "float": "a number",
    "int": "a whole number",
    "str": "a text",
    "tuple[float, ...]": "a list of numbers",
}
# Field -> its least and largest value.
LIMITS: dict[str, tuple[float, float]] = (
    {
        "epochs": (1, 100_000),
        "batch_size": (1, 1 << 20),
        "accumulate": (1, 100_000),
        "learning_rate": (1e-12, 1e6),
        "learning_rate_batch": (0, 1 << 30),
        "weight_decay": (0, 1e6),
        "clip_norm": (0, 1e9),
        "warmup_epochs": (0, 100_000),
        "head_epochs": (0, 100_000),
        "patience": (0, 100_000),
        "factor": (0, 1000),
        "mixup": (0, 1000),
        "cutmix": (0, 1000),
        "rand_operations": (0, 100),
        "rand_magnitude": (0, 10),
    }
    | dict.fromkeys(("momentum", "ema", "label_smoothing", "shift"), (0, 0.99999))
    | dict.fromkeys(("body_rate", "floor", "erase", "crop", "rand_probability"), (0, 1))
)
HUGE = 1e300  # a whole number of TOML can be larger than any float
MOST_BYTES, LONGEST = 64 << 10, 2_000  # of a recipe's file, and of a line: TOML's nested names take time squared


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a network is trained.

    Args:
        summary: One line for the list of recipes.
        source: Paper, code or reason.
        epochs: Passes over the training images.
        batch_size: Images a step.
        optimizer: "sgd" or "adamw".
        learning_rate: Peak of the schedule.
        learning_rate_batch: Batch size that `learning_rate` is meant for; with another batch size the rate is scaled in
            proportion. 0: it is never scaled.
        momentum, nesterov: Of SGD.
        convention: How SGD's momentum meets a changing learning rate: "torch" or "caffe" (see
            kattn.training.optimisation.optimizers.SGD).
        weight_decay: For SGD the papers' (torch's) value, part of the gradient; for AdamW decoupled, times
            the learning rate.
        decay_all: Decay biases and normalisations too, as the papers' code does.
        body_rate: Learning rate of all layers but the classifier, as a share of the classifier's.
        head_epochs: Epochs at the beginning in which the classifier alone learns (normalisations go on with their
            statistics). With trained weights: the noise of a new classifier does not reach the layers below.
        schedule: "constant", "step", "cosine", "linear" or "power" (see kattn.training.optimisation.schedules).
        warmup_epochs: Epochs of linear rise to the peak; with "cosine" and about a third of the epochs: one-cycle.
        milestones, factor: Shares of the run at which "step" multiplies the rate by `factor`.
        floor: Share of the peak left at the end of "cosine" and "linear".
        label_smoothing: Share of the target spread over all classes.
        crop: Random crop of at least this share of the area of the image (as brought to the network's size), scaled
            back to the whole size; 0 for none, 0.08 as usual for ImageNet.
        shift: Random shift, as a share of the image's side (0.125: the usual pad 4 and crop of 32x32).
        flip: Random mirroring, left to right; left out for data whose mirror images are something else (digits).
        rand_operations, rand_magnitude: RandAugment: operations an image, 0 for none, and their strength, 0 to 10.
        rand_probability: With which each of these operations is done: 1 in the paper, 0.5 in timm.
        erase: Probability of random erasing.
        mixup, cutmix: Strength alpha of the two; with both every batch takes one of them.
        zero_init_residual: Build a network of the zoo that has this option (ResNets and their kin) with it, unless the
            call says otherwise: its residual branches start at 0.
        clip_norm: Largest norm of the whole gradient; 0 for no clipping.
        accumulate: Batches whose gradients are averaged for one update.
        ema: Momentum of a moving average of the weights, which is evaluated and kept in place of the weights; 0 for
            none.
        patience: Stop after so many epochs without a better validation accuracy; 0 for never.
        select: Which weights are evaluated and exported in the end: "last", or "best" by validation accuracy.

    Raises: ValueError for a value outside its range.
    """

    summary: str = ""
    source: str = ""
    epochs: int
    batch_size: int
    optimizer: str = "sgd"
    learning_rate: float = 0.1
    learning_rate_batch: int = 0
    momentum: float = 0.9
    nesterov: bool = False
    convention: str = "torch"
    weight_decay: float = 0.0
    decay_all: bool = False
    body_rate: float = 1.0
    head_epochs: float = 0.0
    schedule: str = "cosine"
    warmup_epochs: float = 0.0
    milestones: tuple[float, ...] = ()
    factor: float = 0.1
    floor: float = 0.0
    label_smoothing: float = 0.0
    crop: float = 0.0
    shift: float = 0.0
    flip: bool = False
    rand_operations: int = 0
    rand_magnitude: float = 9.0
    rand_probability: float = 1.0
    erase: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    zero_init_residual: bool = False
    clip_norm: float = 0.0
    accumulate: int = 1
    ema: float = 0.0
    patience: int = 0
    select: str = "last"

    def __post_init__(self) -> None:
        self._one_of("optimizer", OPTIMIZERS)
        self._one_of("schedule", SCHEDULES)
        self._one_of("convention", CONVENTIONS)
        self._one_of("select", ("last", "best"))
        for name in LIMITS:
            self._within(name, *LIMITS[name])
        if len(self.milestones) > 1000 or any(not 0 < share < 1 for share in self.milestones):
            raise ValueError(f"milestones are shares of the run between 0 and 1. Received: {list(self.milestones)}")
        for name in ("body_rate", "head_epochs"):
            if getattr(self, name) != type(self).__dataclass_fields__[name].default and self.optimizer != "sgd":
                raise ValueError(f"{name} works with optimizer='sgd'. Received: optimizer={self.optimizer!r}")
        for name, what in (("warmup_epochs", "warm-up"), ("head_epochs", "the classifier alone")):
            if (length := getattr(self, name)) and length >= self.epochs:
                raise ValueError(f"{length} epochs of {what} do not fit into {self.epochs} epochs.")

    @property
    def peak(self) -> float:
        """The learning rate for this batch size."""
        scale = self.batch_size * self.accumulate / self.learning_rate_batch if self.learning_rate_batch else 1.0
        return self.learning_rate * scale

    def as_dict(self) -> dict[str, Any]:
        """Every field, as JSON and TOML can hold it."""
        return dataclasses.asdict(self) | {"milestones": list(self.milestones)}

    def _one_of(self, name: str, valid: tuple[str, ...]) -> None:
        if getattr(self, name) not in valid:
            raise ValueError(f"{name} must be one of {', '.join(valid)}. Received: {name}={getattr(self, name)!r}")

    def _within(self, name: str, low: float, high: float) -> None:
        value = getattr(self, name)
        number = isinstance(value, numbers.Real) and not isinstance(value, bool)
        if not number or not low <= value <= high:
            raise ValueError(f"{name} must be at least {low:g} and at most {high:g}. Received: {name}={value!r:.60}")


def recipe_files() -> dict[str, Path]:
    """The committed recipes: name -> file. Needs neither Keras nor the zoo's code."""
    spec = importlib.util.find_spec("kattn.zoo")
    roots = spec.submodule_search_locations if spec else None
    folders = [Path(root) / "recipes" for root in roots or []]
    return {file.stem: file for folder in folders for file in sorted(folder.glob("*.toml"))}


def list_recipes() -> dict[str, str]:
    """The committed recipes: name -> one line about it.

    Returns: Summary by name.
    """
    return {name: load_recipe(name).summary for name in recipe_files()}


def load_recipe(recipe: str | Path | Mapping[str, Any] | Recipe, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """A recipe by name, from a TOML file, from a mapping or as it is, with some fields replaced.

    Where `epochs` is overridden, the warm-up and the classifier's epochs keep their shares of the run unless they are
    overridden too.

    Args:
        recipe: "quick" or another of `list_recipes()`, the path of a .toml file, {field: value}, or a Recipe.
        overrides: {field: value}, such as {"epochs": 3}.

    Returns: The Recipe.
    Raises: ValueError for an unknown name or field (with the closest ones), a broken file, or a value out of range.
    """
    fields = _fields_of(recipe)
    changes = dict(overrides or {})
    lengths = [name for name in ("warmup_epochs", "head_epochs") if name not in changes and fields.get(name)]
    if "epochs" in changes and lengths and fields.get("epochs"):
        before, epochs = _build(fields), _typed("epochs", "int", changes["epochs"])
        changes |= {name: getattr(before, name) * epochs / before.epochs for name in lengths}
    return _build(fields | changes)


def _fields_of(recipe: str | Path | Mapping[str, Any] | Recipe) -> dict[str, Any]:
    if isinstance(recipe, Recipe):
        return recipe.as_dict()
    if isinstance(recipe, Mapping):
        return dict(recipe)
    if isinstance(recipe, Path) or recipe.endswith(".toml"):
        file = Path(recipe)
    else:
        files = recipe_files()
        if recipe not in files:
            advice = f"All names: {', '.join(files)}, or the path of a .toml file"
            raise unknown("recipe", recipe, files, advice)
        file = files[recipe]
    try:
        text = read_text(file, MOST_BYTES)
        if any(len(line) > LONGEST for line in text.splitlines()):
            raise Unreadable(f"has a line of more than {LONGEST:,} characters, and is not read")
        return tomllib.loads(text)
    except OSError as error:
        raise ValueError(f"The recipe {file} cannot be read: {error.strerror}.") from error
    except Unreadable as error:
        raise ValueError(f"The recipe {file} {error}.") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"The recipe {file} is no valid TOML: {error}.") from None


def _build(fields: Mapping[str, Any]) -> Recipe:
    """A Recipe of these fields, with types checked, so that a file's mistake is named."""
    known = {field.name: field for field in dataclasses.fields(Recipe)}
    for name in fields:
        if name not in known:
            raise unknown("field of a recipe", name, known)
    for name in ("epochs", "batch_size"):
        if name not in fields:
            raise ValueError(f"A recipe needs the field {name!r}.")
    return Recipe(**{name: _typed(name, known[name].type, value) for name, value in fields.items()})


def _typed(name: str, kind: Any, value: Any) -> Any:
    """The value as the field's type (annotations are strings here)."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < HUGE
    if kind == "float" and number:
        return float(value)
    if kind == "tuple[float, ...]" and isinstance(value, (list, tuple)):
        return tuple(_typed(name, "float", item) for item in value)
    if kind == "int" and number and value == int(value):
        return int(value)
    if (kind == "bool" and isinstance(value, bool)) or (kind == "str" and isinstance(value, str)):
        return value
    raise ValueError(f"The recipe's {name} must be {TYPES[kind]}. Received: {value!r:.60}")
