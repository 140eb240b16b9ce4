"""What `docs/blocks.md` says of each block beside its docstring, as `block_facts.toml` has it by family and name."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from importlib import resources
from typing import Any


@dataclass(frozen=True)
class Facts:
    """One block's row.

    Attributes:
        parameters: Trainable parameters as an expression of C channels, H and W and of what `given` defines. Tests
            compare its value with the built layer.
        where: Where the authors put the block.
        differs: What paper and code do otherwise, and which of it is the default here.
        options: Arguments for which the page's numbers are counted, where the defaults do not do.
        given: Names in `parameters` and their expressions, in the order in which they are needed.
        inputs: Shapes of the inputs, as expressions; several where the block takes several.
    """

    parameters: str
    where: str
    differs: str
    options: dict[str, Any] = field(default_factory=dict)
    given: dict[str, str] = field(default_factory=dict)
    inputs: tuple[str, ...] = ("H, W, C",)


FAMILIES: dict[str, dict[str, Facts]] = {
    family: {name: Facts(**row) for name, row in rows.items()}
    for family, rows in tomllib.loads(
        resources.files("kattn.publish").joinpath("block_facts.toml").read_text(encoding="utf-8")
    ).items()
}


def facts(name: str) -> Facts:
    """A block's row by its short name."""
    return next(family[name] for family in FAMILIES.values() if name in family)
