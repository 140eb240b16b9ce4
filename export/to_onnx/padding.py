"""Padding that an operator can do itself: a Pad is a pass over the whole map, and no runtime has it in 8 bits."""

from __future__ import annotations

from typing import Any

from kattn.export.to_onnx.edit import GraphEdit


def absorb_padding(graph: Any) -> Any:
    """The ModelProto with zeros around a map that a MaxPool reads padded by the MaxPool; the very same numbers.

    A MaxPool's own padding is less than any number, so this holds where the map has no negative ones: behind a Relu, or
    a Clip from 0 up. onnxslim does the same for convolutions, where padding is zeros.
    """
    from onnx import helper

    work = GraphEdit(graph)
    changed = False
    for pool in work.kind("MaxPool"):
        pad = work.maker(pool.input[0])
        if pad is None or pad.op_type != "Pad" or work.only_reader(pad.output[0]) is None:
            continue
        around = _zeros_around(pad, work)
        if around is None or not _never_negative(work.maker(pad.input[0]), work):
            continue
        attributes = work.attributes(pool)
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
        work.replace(pad, pad.input[0])
        changed = True
    if changed:
        work.write_back()
    return graph


def _zeros_around(pad: Any, work: GraphEdit) -> list[int] | None:
    """Sizes before and behind each spatial axis; None for another kind of padding, other axes, or cropping."""
    if any(attribute.name == "mode" and attribute.s != b"constant" for attribute in pad.attribute):
        return None
    sizes = work.array(pad.input[1])
    if sizes is None or (len(pad.input) > 3 and pad.input[3]):
        return None
    if len(pad.input) > 2 and pad.input[2] and work.number(pad.input[2]) != 0:
        return None
    rank = len(sizes) // 2
    before, behind = sizes[:rank], sizes[rank:]
    if any(before[:2]) or any(behind[:2]) or min(sizes) < 0:
        return None
    return [int(size) for size in (*before[2:], *behind[2:])]


def _never_negative(node: Any, work: GraphEdit) -> bool:
    if node is None or node.op_type != "Clip":
        return node is not None and node.op_type == "Relu"
    least = work.number(node.input[1]) if len(node.input) > 1 else None
    return least is not None and least >= 0
