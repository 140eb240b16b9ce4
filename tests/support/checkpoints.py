"""Small networks whose weights go to and come from other collections."""

from __future__ import annotations

from typing import Any

import kattn
from support.models import largest_difference, pixels, randomise

SIZE = (16, 16, 3)
SMALL: dict[str, Any] = {"depths": (1, 1, 1), "input_shape": SIZE}


def network(name: str = "resnet20", **options: Any) -> Any:
    """A small model of the zoo with seven classes and random weights."""
    model = kattn.zoo.create(name, **SMALL | {"classes": 7} | options)
    randomise(model)
    return model


def same(model: Any, other: Any) -> bool:
    """Whether two models give the same numbers."""
    x = pixels((2, *SIZE))
    return largest_difference(model(x), other(x)) == 0
