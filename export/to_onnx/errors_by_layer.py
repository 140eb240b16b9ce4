"""Where an ONNX file loses accuracy: the error of every layer's result (`kattn.export.proof.worst_layers`)."""

from __future__ import annotations

from typing import Any

import numpy as np

from kattn.export.apart import load_arrays
from kattn.export.proof.worst_layers import worst


def onnx_errors(exact_path: str, rough_path: str, samples: str) -> list[dict[str, Any]]:
    """Errors of an ONNX file of low precision against the float32 one, by node. A task for the child.

    Args:
        exact_path, rough_path: The files. What both of them name is compared.
        samples: An .npz file with the images of each input, in the graph's layout.

    Returns: See `worst`; each "layer" is the name of a node.
    """
    import onnx

    images = load_arrays(samples)
    graphs = [onnx.load(path) for path in (exact_path, rough_path)]
    names = set.intersection(*({name for node in graph.graph.node for name in node.output} for graph in graphs))
    exact, rough = (_results(graph, images, names) for graph in graphs)
    nodes = [node for node in graphs[0].graph.node if node.output[0] in exact and node.output[0] in rough]
    return worst(
        [(node.op_type, node.name, node.output[0], [name for name in node.input if name in exact]) for node in nodes],
        exact,
        rough,
    )


def _results(graph: Any, images: dict[str, np.ndarray], names: set[str]) -> dict[str, np.ndarray]:
    """Floating-point results of a graph by name, for all images one batch after the other."""
    import onnxruntime
    from onnx import helper

    outputs = {value.name for value in graph.graph.output}
    graph.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in sorted(names - outputs))
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    wanted = [value.name for value in session.get_outputs() if value.type in ("tensor(float)", "tensor(float16)")]
    size = session.get_inputs()[0].shape[0]
    count = len(next(iter(images.values())))
    size = size if isinstance(size, int) else count
    types = {value.name: "float16" if "16" in value.type else "float32" for value in session.get_inputs()}
    kept: dict[str, list[np.ndarray]] = {}
    for start in range(0, count - size + 1, size):
        few = {name: images[name][start : start + size] for name in types}
        few = {name: a.astype(types[name]) if a.dtype.kind == "f" else a for name, a in few.items()}
        for name, value in zip(wanted, session.run(wanted, few), strict=True):
            kept.setdefault(name, []).append(value.astype("float32"))
    return {name: np.concatenate(values) for name, values in kept.items()}
