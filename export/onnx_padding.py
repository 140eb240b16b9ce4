"""Padding that an operator can do itself: a Pad is a pass over the whole map, and no runtime has it in 8 bits."""

from __future__ import annotations

from typing import Any


def absorb_padding(graph: Any) -> Any:
    """The ModelProto with zeros around a map that a MaxPool reads padded by the MaxPool; the very same numbers.

    A MaxPool's own padding is less than any number, so this holds where the map has no negative ones: behind a Relu, or
    a Clip from 0 up. onnxslim does the same for convolutions, where padding is zeros.
    """
    from onnx import helper, numpy_helper

    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.graph.initializer}
    makers = {name: node for node in graph.graph.node for name in node.output}
    readers: dict[str, list[Any]] = {}
    for node in graph.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    outputs = {value.name for value in graph.graph.output}
    removed = []
    for pool in graph.graph.node:
        pad = makers.get(pool.input[0]) if pool.op_type == "MaxPool" else None
        if pad is None or pad.op_type != "Pad" or len(readers[pad.output[0]]) > 1 or pad.output[0] in outputs:
            continue
        around = _zeros_around(pad, values)
        if around is None or not _never_negative(makers.get(pad.input[0]), values):
            continue
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in pool.attribute}
        kernel = attributes["kernel_shape"]
        pads = [a + b for a, b in zip(attributes.get("pads", [0] * len(around)), around, strict=True)]
        if attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID") or any(
            one >= size for one, size in zip(pads, [*kernel, *kernel], strict=True)
        ):
            continue
        del pool.attribute[:]
        pool.attribute.extend(
            helper.make_attribute(name, value)
            for name, value in (attributes | {"pads": pads}).items()
            if name != "auto_pad"
        )
        pool.input[0] = pad.input[0]
        removed.append(pad)
    for pad in removed:
        graph.graph.node.remove(pad)
    used = {name for node in graph.graph.node for name in node.input}
    unread = {name for pad in removed for name in pad.input} - used
    for tensor in [tensor for tensor in graph.graph.initializer if tensor.name in unread]:
        graph.graph.initializer.remove(tensor)
    return graph


def _zeros_around(pad: Any, values: dict[str, Any]) -> list[int] | None:
    """Sizes before and behind each spatial axis; None for another kind of padding, other axes, or cropping."""
    if any(attribute.name == "mode" and attribute.s != b"constant" for attribute in pad.attribute):
        return None
    sizes = values.get(pad.input[1])
    if sizes is None or (len(pad.input) > 3 and pad.input[3]):
        return None
    if len(pad.input) > 2 and pad.input[2] and not (pad.input[2] in values and float(values[pad.input[2]]) == 0):
        return None
    rank = len(sizes) // 2
    before, behind = sizes[:rank], sizes[rank:]
    if any(before[:2]) or any(behind[:2]) or min(sizes) < 0:
        return None
    return [int(size) for size in (*before[2:], *behind[2:])]


def _never_negative(node: Any, values: dict[str, Any]) -> bool:
    if node is None or node.op_type != "Clip":
        return node is not None and node.op_type == "Relu"
    return len(node.input) > 1 and node.input[1] in values and float(values[node.input[1]]) >= 0
