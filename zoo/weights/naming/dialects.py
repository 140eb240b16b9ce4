"""The names that other collections give to the layers of kattn's networks: tables, one file a source, in `names/`.

A row of a table gives the path of one of our layers, and the name of theirs:

    "stage{s}_block{b}_conv{i}_bn" = "layer{s}.{b-1}.bn{i}"

On the left `{x}` stands for a number. On the right `{x}`, `{x-1}` and `{x+1}` repeat it. Three more numbers can be used
there: `{n}` counts the blocks of the network from 1; `{row}` and `{column}` are the block's place, from 0, in the
table's `rows`, which lists how many blocks each row has. A bar separates alternative names; the first one that the file
has is taken. A left side that also names a variable (".../add_gamma") gives the whole name of theirs.

A word behind a name says how their tensor is stored:

    linear         a dense layer that is a 1x1 convolution here (for writing; reading sees it from the shape)
    conv1d         a one-dimensional convolution
    depthwise      a depthwise convolution (for writing)
    swap_inputs    the input channels in the other order
    part           one tensor holds several of ours; {p} counts them
    grouped_part   the same, in groups of the layer's cardinality

Beside its layers a table can have:

    extends    another table, whose rows are used where this one has none
    rename     regular expressions that are applied to the file's names first
    ignore     regular expressions of names that need no place here
    epsilon    of their batch normalisations, where ours is another: the difference goes into the moving variances
    fold_bias  their convolutions have a bias where ours have none: it goes into the moving mean that follows
    bgr        the first convolution takes BGR
"""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from kattn.zoo.weights.naming.layouts import PART_LAYOUTS

SOURCES = ("timm", "torchvision", "authors", "osmr", "keras_applications")
# What a variable is called, by the collection's framework.
SUFFIXES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "torch": {
        "kernel": ("weight",),
        "bias": ("bias",),
        "gamma": ("weight",),
        "beta": ("bias",),
        "moving_mean": ("running_mean",),
        "moving_variance": ("running_var",),
    },
    "keras": {
        "kernel": ("kernel", "depthwise_kernel"),
        "bias": ("bias",),
        "gamma": ("gamma",),
        "beta": ("beta",),
        "moving_mean": ("moving_mean",),
        "moving_variance": ("moving_variance",),
    },
}
STYLES = tuple(SUFFIXES)
IGNORED = (r".*\bnum_batches_tracked", r"top_level_model_weights\..*")  # counters of torch; an empty group of Keras 2
_HOLE = re.compile(r"\\\{(\w+)\\\}")
_USE = re.compile(r"\{(\w+?)([+-]\d+)?\}")


@dataclass(frozen=True)
class Name:
    """Where one of our variables lies in a file.

    Attributes:
        keys: Names it may have there, best first.
        layout: How it is stored: see the module's docstring; empty for the framework's usual way.
        part: Which part of a tensor that holds several of ours.
    """

    keys: tuple[str, ...]
    layout: str = ""
    part: int = 0


@dataclass(frozen=True)
class Dialect:
    """One table.

    Attributes:
        name: source.table, such as timm.resnet.
        style: Framework of the source, "torch" or "keras".
        rules: Pairs of a pattern of our paths and a template of theirs.
        known: What all of their names look like, but for the head's.
    """

    name: str
    style: str
    rules: tuple[tuple[re.Pattern[str], str], ...]
    known: re.Pattern[str]
    rename: tuple[tuple[re.Pattern[str], str], ...] = ()
    ignore: tuple[re.Pattern[str], ...] = ()
    rows: tuple[int, ...] = ()
    epsilon: float | None = None
    fold_bias: bool = False
    bgr: bool = False
    numbers: Mapping[tuple[int, int], int] = field(default_factory=dict, hash=False)

    def of_network(self, layers: Iterable[str]) -> Dialect:
        """The same for a network of these layers, with its blocks numbered."""
        matches = (re.match(r"stage(\d+)_block(\d+)_", name) for name in layers)
        found = sorted({(int(match[1]), int(match[2])) for match in matches if match})
        numbers = {place: number for number, place in enumerate(found, start=1)}
        return Dialect(**{**self.__dict__, "numbers": numbers})

    def source_name(self, key: str) -> str:
        """A name of the file as the rules know it."""
        for pattern, replacement in self.rename:
            key = pattern.sub(replacement, key)
        return key

    def ignores(self, key: str) -> bool:
        """Whether a name of the file needs no place here."""
        return any(pattern.fullmatch(key) for pattern in self.ignore)

    def knows(self, key: str) -> bool:
        """Whether a name of the file could be one of the network's, whatever its depth; the head's do not count."""
        return bool(self.known.fullmatch(self.source_name(key)))

    def find(self, path: str, style: str) -> Name | None:
        """Where our variable of this path lies; None where no row speaks of it."""
        layer, _, variable = path.rpartition("/")
        for pattern, template in self.rules:
            if match := pattern.fullmatch(layer):
                suffixes = SUFFIXES[style].get(variable, (variable,))
            elif match := pattern.fullmatch(path):
                suffixes = ()
            else:
                continue
            keys, layout = [], ""
            values = self._values(match.groupdict())
            if not all(use[1] in values for use in _USE.finditer(template)):
                return None  # a block that the table's rows do not reach
            for alternative in template.split("|"):
                text, _, layout = self._fill(alternative.strip(), values).partition(" ")
                keys += [f"{text}.{suffix}" for suffix in suffixes] or [text]
            layout = layout.strip()
            return Name(tuple(keys), layout, int(match["p"]) if layout in PART_LAYOUTS else 0)
        return None

    def _values(self, groups: dict[str, str]) -> dict[str, int]:
        values = {name: int(text) for name, text in groups.items()}
        if "b" in values and (values.get("s", 0), values["b"]) in self.numbers:
            values["n"] = self.numbers[values["s"], values["b"]]
            left = values["n"] - 1
            for row, length in enumerate(self.rows):
                if left < length:
                    values |= {"row": row, "column": left}
                    break
                left -= length
        return values

    @staticmethod
    def _fill(template: str, values: dict[str, int]) -> str:
        def value(match: re.Match[str]) -> str:
            return str(values[match[1]] + int(match[2] or 0))

        return _USE.sub(value, template)


@functools.cache
def dialects() -> dict[str, Dialect]:
    """All tables by source.table; where two fit a file alike, the first is taken."""
    tables: dict[str, dict[str, Any]] = {}
    for source in SOURCES:
        file = resources.files("kattn.zoo.weights").joinpath("names", f"{source}.toml")
        content = tomllib.loads(file.read_text(encoding="utf-8"))
        common = {key: value for key, value in content.items() if not isinstance(value, dict) or key == "rename"}
        for key, table in content.items():
            if key not in common:
                tables[f"{source}.{key}"] = common | table
    return {name: _dialect(name, tables) for name in tables}


def _dialect(name: str, tables: dict[str, dict[str, Any]]) -> Dialect:
    table = tables[name]
    layers: dict[str, str] = {}
    ancestor: dict[str, Any] | None = table
    while ancestor is not None:
        layers = layers | {k: v for k, v in ancestor["layers"].items() if k not in layers}
        ancestor = tables[ancestor["extends"]] if "extends" in ancestor else None
    return Dialect(
        name=name,
        style=table.get("style", "torch"),
        rules=tuple((_pattern(path), template) for path, template in layers.items()),
        known=_known(template for path, template in layers.items() if path != "logits"),
        rename=tuple((re.compile(pattern), text) for pattern, text in table.get("rename", {}).items()),
        ignore=tuple(re.compile(pattern) for pattern in (*IGNORED, *table.get("ignore", ()))),
        rows=tuple(table.get("rows", ())),
        epsilon=table.get("epsilon"),
        fold_bias=table.get("fold_bias", False),
        bgr=table.get("bgr", False),
    )


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(_HOLE.sub(r"(?P<\1>\\d+)", re.escape(path)))


def _known(templates: Iterable[str]) -> re.Pattern[str]:
    names = {one.strip().partition(" ")[0] for template in templates for one in template.split("|")}
    patterns = sorted(re.sub(r"\\\{.*?\\\}", r"\\d+", re.escape(name)) for name in names)
    return re.compile(rf"(?:{'|'.join(patterns)})(?:\.\w+)?")
