"""Several attentions in one network: each at its own sites, in its own stages and blocks."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from kattn.zoo.grammar.sites import REPLACED, SITES, Attention


class NoPlace(ValueError):
    """A mechanism that has no place in a backbone, or none beside another one."""


@dataclass(frozen=True)
class Combination:
    """Several attentions; where two stand at one site, the first of them is applied first.

    Attributes:
        parts: In order.
    """

    parts: tuple[Attention, ...]

    @property
    def paper(self) -> str:
        """Where the parts were published."""
        return " | ".join(dict.fromkeys(part.paper for part in self.parts if part.paper))

    def used_sites(self) -> tuple[str, ...]:
        """Names of the sites that are not the plain network's."""
        return tuple(dict.fromkeys(site for part in self.parts for site in part.used_sites()))

    def standing(self, site: str) -> list[Any]:
        """The factories at a site, in order."""
        return [factory for part in self.parts for factory in part.standing(site)]

    @property
    def divided(self) -> set[str]:
        """Options whose defaults differ from part to part: where nothing is given, each part has its own."""
        defaults: dict[str, list[Any]] = {}
        for part in self.parts:
            for name, option in part.options().items():
                defaults.setdefault(name, []).append(option.default)
        return {name for name, found in defaults.items() if any(one != found[0] for one in found)}

    def options(self) -> dict[str, inspect.Parameter]:
        """What a user can set by keyword: the options of the parts, each with the default of the first that has it."""
        found: dict[str, inspect.Parameter] = {}
        for part in self.parts:
            for name, option in part.options().items():
                found.setdefault(name, option)
        return found

    def bind(self, **options: Any) -> Combination:
        """This combination with options set. An option goes to every part that has it. Raises: as Attention.bind."""
        known = self.options()
        if unknown := sorted(set(options) - set(known)):
            raise TypeError(f"Unknown option {', '.join(unknown)}. Options: {', '.join(sorted(known)) or 'none'}.")
        return Combination(
            tuple(part.bind(**{k: v for k, v in options.items() if k in part.options()}) for part in self.parts)
        )


AnyAttention = Attention | Combination


def combined(named: Sequence[tuple[str, Attention]], *, ordered: bool) -> AnyAttention:
    """Attentions together.

    A mechanism with a place for partners takes them there (AFI: what others have at "residual" stands on its result).

    Args:
        named: The attentions with what errors call them.
        ordered: Whether their order is meant: it then decides where two of them stand at one site.

    Raises: NoPlace where two stand at one site that holds one only, or no order is given.
    """
    moves = {old: new for _, one in named for old, new in one.partners}
    parts = [(name, one if one.partners else _moved(one, moves)) for name, one in named if one.used_sites()]
    for number, (second, part) in enumerate(parts):
        for first, earlier in parts[:number]:
            both = [site for site in part.used_sites() if site in earlier.used_sites()]
            alone = [site for site in both if site in REPLACED]
            if alone:
                raise NoPlace(
                    f"{first} and {second} cannot stand in one network: both take the place of {', '.join(alone)}"
                )
            if both and not ordered:
                raise NoPlace(
                    f"{first} and {second} both stand at {', '.join(both)}, and the name does not say which comes "
                    f'first: give the plain network attention=("{first}", "{second}"), in the order that is meant'
                )
    if len(parts) == 1:
        return parts[0][1]
    return Combination(tuple(part for _, part in parts)) if parts else Attention()


def _moved(part: Attention, moves: dict[str, str]) -> Attention:
    changes: dict[str, Any] = {}
    for old, new in moves.items():
        if part.standing(old):
            changes |= {new: getattr(part, old), old: SITES[old]}
    return replace(part, **changes)
