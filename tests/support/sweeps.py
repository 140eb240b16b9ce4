"""Which cases of a sweep run by default; the others are slow."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest

from kattn.zoo.attentions.table import ATTENTIONS


def swept(names: Iterable[str], by_default: Collection[str]) -> list[Any]:
    """Parameters of a test: the names, `slow` but for those of the default suite."""
    return [pytest.param(name, marks=[] if name in by_default else [pytest.mark.slow]) for name in names]


def one_a_site() -> set[str]:
    """The first mechanism of each site: those of one site are placed by the same code."""
    return set({one.used_sites(): name for name, one in reversed(ATTENTIONS.items()) if one.used_sites()}.values())
