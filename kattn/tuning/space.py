"""What a search chooses from: names with their choices, checked, and what they mean for a network."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kattn.suggest import unknown
from kattn.training.recipes import Recipe, load_recipe

Choices = list[Any] | dict[str, Any]
DEFAULT_SPACE = {"reduction": [2, 4, 8, 16]}
RECIPE = "recipe."
NAMES = ("mechanism", "backbone")  # these two make the model's name, also where an option of a mechanism is called so
START = ("weights", "start", "freeze")  # options of every model that can be searched; the data decide the others
RANGE = ("low", "high", "log")
DIGITS = 6  # significant digits of a continuous value: KerasTuner sends it to its workers as a 32-bit float


@dataclass(frozen=True)
class Candidate:
    """One network with its way of training.

    Attributes:
        values: What was chosen, by name.
        model: Name in the zoo.
        options: Of its builder. Choices for options that this model does not have are left out.
        overrides: Fields of the recipe.
    """

    values: dict[str, Any]
    model: str
    options: dict[str, Any]
    overrides: dict[str, Any]

    @property
    def key(self) -> str:
        """The same for candidates that train alike."""
        return _digest([self.model, self.options, self.overrides])

    @property
    def network(self) -> str:
        """The same for candidates with the same network, which cost the same."""
        return _digest([self.model, self.options])

    def __str__(self) -> str:
        return " ".join(f"{name}={written(value)}" for name, value in self.values.items())


class Space:
    """The choices of a search.

    Args:
        model: Name in the zoo; "mechanism" and "backbone" replace its parts.
        choices: {name: list of values, or {"low": , "high": , "log": bool}}. Names are options of the model's builder,
            "mechanism", "backbone" ("none" is the plain network), and "recipe.<field>".
        recipe: What "recipe.<field>" changes.

    Raises: ValueError for an unknown model, an unknown name (with the closest ones), a choice that cannot be.
    """

    def __init__(self, model: str, choices: Mapping[str, Any], recipe: Recipe) -> None:
        from kattn.zoo.tables import parts

        self.parts = parts(model)
        if not isinstance(choices, Mapping) or not choices:
            raise ValueError(f"space is {{name: list of choices}}, with one name at least. Received: {choices!r}")
        self.choices: dict[str, Choices] = {name: _checked(name, given) for name, given in choices.items()}
        self.options_of = self._options()
        options = {option for names in self.options_of.values() for option in names}
        fields = {f"{RECIPE}{f.name}" for f in dataclasses.fields(Recipe) if f.name not in ("summary", "source")}
        known = [*NAMES, *sorted(options), *sorted(fields)]
        for name in self.choices:
            if name not in known:
                names = f"All names: {', '.join(NAMES)}, {', '.join(sorted(options))}, and {RECIPE}<field>"
                raise unknown("name in the space", name, known, names)
            if name in fields:
                for value in self._ends(name):
                    load_recipe(recipe, {name.removeprefix(RECIPE): value})

    def declare(self, hp: Any) -> dict[str, Any]:
        """Add all choices to KerasTuner's HyperParameters. Returns: the values that these hold."""
        for name, given in self.choices.items():
            if isinstance(given, dict):
                whole = isinstance(given["low"], int) and isinstance(given["high"], int)
                ask = hp.Int if whole else hp.Float
                ask(name, given["low"], given["high"], sampling="log" if given["log"] else "linear")
            else:
                hp.Choice(name, given if _plain(given) else [json.dumps(value) for value in given])
        return {name: hp.values[name] for name in self.choices}

    def candidate(self, values: Mapping[str, Any]) -> Candidate:
        """The candidate that KerasTuner's values stand for; names that are not the space's ("tuner/epochs") are
        ignored."""
        chosen = {name: self._decoded(name, values[name]) for name in self.choices}
        model = self._name(chosen)
        own = {name: value for name, value in chosen.items() if name in self.options_of[model]}
        overrides = {n.removeprefix(RECIPE): value for n, value in chosen.items() if n.startswith(RECIPE)}
        used = {name: value for name, value in chosen.items() if name in own or name.startswith(RECIPE)}
        names = {name: chosen[name] for name in NAMES if name in chosen}
        return Candidate(names | used, model, own, overrides)

    def product(self) -> Iterator[dict[str, Any]]:
        """All combinations of values as KerasTuner writes them; the last name changes first. A range gives the steps
        that KerasTuner makes of it."""
        import keras_tuner

        hp = keras_tuner.HyperParameters()
        self.declare(hp)
        for values in itertools.product(*(list(one.values) for one in hp.space)):
            yield dict(zip(self.choices, values, strict=True))

    def count(self) -> int | None:
        """The number of different candidates; None where there is a range."""
        if any(isinstance(given, dict) for given in self.choices.values()):
            return None
        return len({self.candidate(values).key for values in self.product()})

    def _decoded(self, name: str, value: Any) -> Any:
        given = self.choices[name]
        if isinstance(given, dict):
            return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
        return value if _plain(given) else json.loads(value)

    def _ends(self, name: str) -> list[Any]:
        given = self.choices[name]
        return [given["low"], given["high"]] if isinstance(given, dict) else given

    def _name(self, chosen: Mapping[str, Any]) -> str:
        from kattn.zoo.tables import model_name

        parts = dict(zip(NAMES, self.parts, strict=True)) | {n: chosen[n] for n in NAMES if n in chosen}
        return model_name(parts["mechanism"], parts["backbone"])

    def _options(self) -> dict[str, set[str]]:
        """The options to choose from, of every model that the space names."""
        from kattn.zoo.tables import rows

        found = {}
        pairs = [self.choices.get(name, [part]) for name, part in zip(NAMES, self.parts, strict=True)]
        for pair in itertools.product(*pairs):
            name = self._name(dict(zip(NAMES, pair, strict=True)))
            attention, backbone = rows(name)
            found[name] = {*START, *backbone.user_options(), *attention.options()} - set(NAMES)
        return found


def written(value: Any) -> str:
    """A value for people and for tables."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _checked(name: str, given: Any) -> Choices:
    """The choices of one name, as JSON holds them."""
    if isinstance(given, Mapping):
        return _range(name, given)
    values = json.loads(json.dumps(list(given))) if isinstance(given, (list, tuple, range)) else None
    if not values:
        raise ValueError(f"{name} needs a list of choices, or {{'low': , 'high': , 'log': }}. Received: {given!r}")
    if len({json.dumps(value, sort_keys=True) for value in values}) < len(values):
        raise ValueError(f"{name} has a choice twice. Received: {given!r}")
    if name in NAMES and not all(isinstance(value, str) for value in values):
        raise ValueError(f"The choices of {name} are names. Received: {given!r}")
    return values


def _range(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    low, high, log = given.get("low"), given.get("high"), given.get("log", False)
    numbers = all(isinstance(end, (int, float)) and not isinstance(end, bool) for end in (low, high))
    if name in NAMES or set(given) - set(RANGE) or not numbers or not low < high or (log and low <= 0):  # type: ignore[operator]
        raise ValueError(
            f"A range is {{'low': a, 'high': b, 'log': bool}} with numbers a < b, a above 0 with log; mechanism and "
            f"backbone take lists of names. Received: {name}: {dict(given)!r}"
        )
    return {"low": low, "high": high, "log": bool(log)}


def _plain(values: list[Any]) -> bool:
    """Whether KerasTuner keeps these as they are: it turns True into a number, and decimals into 32-bit floats."""
    return {type(value) for value in values} in ({int}, {str})


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]
