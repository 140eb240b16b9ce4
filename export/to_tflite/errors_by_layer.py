"""Where 8 bits lose accuracy: the error of every layer's result, and which layers add most to it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from kattn.export.apart import load_arrays
from kattn.export.to_tflite.graph import read_tflite
from kattn.export.to_tflite.interpreter import input_details, open_interpreter, to_numbers, to_tensor

WORST = 5
STARTS = 0.1  # relative error from which a result counts as damaged


def tflite_errors(float_path: str, integer_path: str, samples: str) -> list[dict[str, Any]]:
    """Errors of an integer .tflite file against the float one that it was calibrated as, by operator.

    Both run on the same images without delegates (those hide what lies between), and results are matched by name. A
    task for the child.

    Args:
        float_path, integer_path: The files.
        samples: An .npz file with the images of each input.

    Returns: See `worst`; each "layer" is the name of a tensor.
    """
    images = load_arrays(samples)
    graphs = [read_tflite(path) for path in (float_path, integer_path)]
    names = set.intersection(*({t.name for o in graph.operators for t in o.outputs} for graph in graphs))
    names.discard("")
    exact = _tensors(float_path, images, names)
    rough = _tensors(integer_path, images, names)
    entries = []
    for operator in graphs[1].operators:
        for tensor in operator.outputs:
            if tensor.name in exact and tensor.name in rough:
                given = [t.name for t in operator.inputs if t.name in exact and t.name in rough]
                entries.append((operator.name, tensor.name, tensor.name, given))
    return worst(entries, exact, rough)


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


def _tensors(path: str, images: dict[str, np.ndarray], names: set[str]) -> dict[str, np.ndarray]:
    """Results of a file by name, in real numbers, for all images one after the other."""
    interpreter = open_interpreter(model_path=path)
    inputs = input_details(interpreter)
    size, count = next(iter(inputs.values()))["shape"][0], len(next(iter(images.values())))
    # By name alone: kernels add nameless tensors of their own to work in, and weights are the same for every image.
    details = [detail for detail in interpreter.get_tensor_details() if detail["name"] in names]
    kept: dict[str, list[np.ndarray]] = {}
    for start in range(0, count - size + 1, size):
        for name, given in inputs.items():
            interpreter.set_tensor(given["index"], to_tensor(images[name][start : start + size], given))
        interpreter.invoke()
        for detail in details:
            try:
                value = interpreter.get_tensor(detail["index"])
            except ValueError:  # a tensor without data, as of a part that does not run
                continue
            kept.setdefault(detail["name"], []).append(to_numbers(value, detail))
    return {name: np.stack(values) for name, values in kept.items()}
