"""Which layers add most to the error of a file of low precision: its operators' results against the exact ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

ERROR_IMAGES = 8  # that both files run on
WORST = 5
STARTS = 0.1  # relative error from which a result counts as damaged


def worst(
    entries: Iterable[tuple[str, str, str, list[str]]],
    exact: dict[str, np.ndarray],
    rough: dict[str, np.ndarray],
) -> list[dict[str, Any]]:
    """The first result whose error passes 10 %, then the five operators that add most error to that of their inputs.

    The error is the root mean square of the difference over that of the exact result.

    Args:
        entries: In order of execution: operator, layer, name of the result, names of the inputs.
        exact, rough: Results by name, from the float and from the quantised network.

    Returns: Dicts of operator, layer, error, added (error less the largest of the inputs') and found ("starts here" or
        "among the worst").
    """
    errors: dict[str, float] = {}
    rows: list[dict[str, Any]] = []
    for operator, layer, name, given in entries:
        if exact[name].shape != rough[name].shape:
            continue
        errors[name] = _relative(exact[name], rough[name])
        added = errors[name] - max((errors[other] for other in given if other in errors), default=0.0)
        rows.append({"operator": operator, "layer": layer, "error": errors[name], "added": added})
    first = next((row for row in rows if row["error"] > STARTS), None)
    chosen = [first | {"found": "starts here"}] if first else []
    by_added = sorted(rows, key=lambda row: row["added"], reverse=True)[:WORST]
    return [*chosen, *(row | {"found": "among the worst"} for row in by_added)]


def _relative(exact: np.ndarray, rough: np.ndarray) -> float:
    scale = float(np.sqrt(np.mean(np.square(exact, dtype="float64"))))
    error = float(np.sqrt(np.mean(np.square(exact - rough, dtype="float64"))))
    return error / scale if scale > 0 else float(error > 0)
