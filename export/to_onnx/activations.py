"""Activations that ONNX has one operator for, where Keras and TensorFlow write several."""

from __future__ import annotations

from typing import Any

from kattn.export.to_onnx.edit import GraphEdit


def name_activations(graph: Any) -> Any:
    """The ModelProto with a hard sigmoid as one HardSigmoid node; the same numbers up to rounding.

    Keras writes relu6(x + 3) / 6, which takes three passes over a map: Add, Clip, Mul. A runtime computes the one node
    inside the convolution before it, or in one pass; a hard swish, x times that, is two nodes instead of four.
    """
    if not any(node.op_type == "Clip" for node in graph.graph.node):
        return graph
    work = GraphEdit(graph, infer=True)
    changed = False
    for clip in work.kind("Clip"):
        shift, scale = work.maker(clip.input[0]), work.only_reader(clip.output[0])
        if shift is None or scale is None or (shift.op_type, scale.op_type) != ("Add", "Mul"):
            continue
        bounds = [work.number(name) for name in clip.input[1:]]
        added, offset = _with_number(shift, work)
        clipped, factor = _with_number(scale, work)
        if added is None or offset is None or clipped is None or factor is None or factor <= 0:
            continue
        if len(bounds) != 2 or bounds[0] != 0 or bounds[1] is None or abs(bounds[1] * factor - 1) > 1e-6:
            continue  # HardSigmoid ends at 0 and at 1
        options = {"alpha": factor, "beta": factor * offset}
        shape = work.shapes.get(scale.output[0], [])
        work.replace(scale, work.insert(scale, "HardSigmoid", [added], shape, **options))
        changed = True
    if changed:
        work.drop_unused()
        work.write_back()
    return graph


def _with_number(node: Any, work: GraphEdit) -> tuple[str | None, float | None]:
    """A tensor and the one number that a node adds to it or multiplies it by, which leaves its shape as it is."""
    for name, other in (node.input, node.input[::-1]):
        number = work.number(other)
        if number is not None and len(work.shapes[other]) <= len(work.shapes.get(name, [])):
            return name, number
    return None, None
