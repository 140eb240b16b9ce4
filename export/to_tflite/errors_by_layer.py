"""Where a .tflite file loses accuracy: the error of every layer's result (`kattn.export.proof.worst_layers`)."""

from __future__ import annotations

from typing import Any

import numpy as np

from kattn.export.apart import load_arrays
from kattn.export.proof.worst_layers import worst
from kattn.export.to_tflite.graph import read_tflite
from kattn.export.to_tflite.interpreter import input_details, open_interpreter, to_numbers, to_tensor


def tflite_errors(exact_path: str, rough_path: str, samples: str) -> list[dict[str, Any]]:
    """Errors of a .tflite file of low precision against the float one, by operator.

    Both run on the same images without delegates (those hide what lies between), and results are matched by name. A
    task for the child.

    Args:
        exact_path, rough_path: The files.
        samples: An .npz file with the images of each input.

    Returns: See `worst`; each "layer" is the name of a tensor.
    """
    images = load_arrays(samples)
    graphs = [read_tflite(path) for path in (exact_path, rough_path)]
    names = set.intersection(*({t.name for o in graph.operators for t in o.outputs} for graph in graphs))
    names.discard("")
    exact = _tensors(exact_path, images, names)
    rough = _tensors(rough_path, images, names)
    entries = []
    for operator in graphs[1].operators:
        for tensor in operator.outputs:
            if tensor.name in exact and tensor.name in rough:
                given = [t.name for t in operator.inputs if t.name in exact and t.name in rough]
                entries.append((operator.name, tensor.name, tensor.name, given))
    return worst(entries, exact, rough)


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
