"""Remove the transposes that matrix products and vectors do not need.

Convolutions in ONNX work on (batch, channels, height, width), attention between positions on rows (batch, positions,
channels). The conversion puts a Transpose wherever one meets the other: five for a non-local block. An Einsum names the
axes of its operands and needs none of them. A vector of channels, (batch, channels, 1, 1), has its numbers in the same
order however its axes are permuted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from kattn.export.to_onnx.edit import GraphEdit

TO_LAST, TO_FIRST, SWAP = [0, 2, 3, 1], [0, 3, 1, 2], [0, 2, 1]
POINTWISE = (
    *("Add", "Sub", "Mul", "Div", "Max", "Min"),
    *("Relu", "Clip", "Sigmoid", "HardSigmoid", "Tanh", "LeakyRelu", "Elu"),
)


def absorb_transposes(graph: Any) -> Any:
    """The ModelProto without them; the same numbers up to rounding.

    Each step keeps the values:
    - A Transpose that moves only axes of length 1 becomes a Reshape. Of two Reshapes in a row the first one goes.
    - Two Transposes in a row that undo each other go.
    - A map transposed to channels-last and flattened is flattened first and transposed then. Rows that become a map and
      are transposed to channels-first are transposed first.
    - A Transpose moves behind a gate and behind elementwise operators.
    - A product of transposed operands, or one whose result is transposed, becomes an Einsum.
    """
    if sum(node.op_type == "Transpose" for node in graph.graph.node) < 2:  # the image's own
        return graph
    work = GraphEdit(graph, infer=True)
    reshapes = (_reshape_instead, _merge_reshapes, _cancel_transposes)
    orders = (_gate_first, _flatten_first, _transpose_rows_first, _pointwise_first)
    while any(step(work) for step in (*reshapes, *orders)):
        work.drop_unused()
    _join_products(work)
    work.drop_unused()
    work.write_back()
    return graph


def _permutation(node: Any) -> list[int] | None:
    """The permutation of a Transpose."""
    if node is None or node.op_type != "Transpose":
        return None
    return next((list(a.ints) for a in node.attribute if a.name == "perm"), None)


def _reshape_instead(work: GraphEdit) -> bool:
    """A Transpose that leaves the axes longer than 1 in their order is a Reshape."""
    for transpose in work.kind("Transpose"):
        perm, shape = _permutation(transpose), work.shapes.get(transpose.input[0])
        if perm is None or perm[0] != 0 or shape is None or None in shape[1:]:
            continue
        long = [axis for axis in perm if axis == 0 or shape[axis] != 1]
        if long == sorted(long):
            permuted = [None, *(shape[axis] for axis in perm[1:])]
            constant = work.constant(np.array([-1, *permuted[1:]], "int64"))
            work.replace(transpose, work.insert(transpose, "Reshape", [transpose.input[0], constant], permuted))
            return True
    return False


def _merge_reshapes(work: GraphEdit) -> bool:
    """Of two Reshapes in a row the second is enough, unless it copies sizes (a 0 in its shape)."""
    for second in work.kind("Reshape"):
        first, target = work.maker(second.input[0]), work.array(second.input[1])
        if first is not None and first.op_type == "Reshape" and target is not None and 0 not in target:
            work.rename(second, second.input[0], first.input[0])
            return True
    return False


def _flatten_first(work: GraphEdit) -> bool:
    """(b, c, h, w) -> (b, h, w, c) -> (b, hw, c) becomes (b, c, h, w) -> (b, c, hw) -> (b, hw, c)."""
    for reshape in work.kind("Reshape"):
        transpose = work.maker(reshape.input[0])
        target = work.array(reshape.input[1])
        source = work.shapes.get(transpose.input[0]) if _permutation(transpose) == TO_LAST else None
        sizes = [size for size in source[1:] if size is not None] if source else []
        if len(sizes) != 3 or target is None:
            continue
        channels, positions = sizes[0], sizes[1] * sizes[2]
        if len(target) != 3 or list(target[1:]) != [positions, channels]:
            continue
        shape = work.constant(np.array([target[0], channels, positions], "int64"))
        flat = work.insert(reshape, "Reshape", [transpose.input[0], shape], [None, channels, positions])
        work.replace(reshape, work.insert(reshape, "Transpose", [flat], [None, positions, channels], perm=SWAP))
        return True
    return False


def _transpose_rows_first(work: GraphEdit) -> bool:
    """(b, hw, c) -> (b, h, w, c) -> (b, c, h, w) becomes (b, hw, c) -> (b, c, hw) -> (b, c, h, w)."""
    for transpose in work.kind("Transpose"):
        reshape = work.maker(transpose.input[0])
        if _permutation(transpose) != TO_FIRST or reshape is None or reshape.op_type != "Reshape":
            continue
        source, target = work.shapes.get(reshape.input[0]), work.array(reshape.input[1])
        if target is None or len(target) != 4 or not source or len(source) != 3:
            continue
        if source[1:] != [target[1] * target[2], target[3]]:  # (h, w, c) that is given a batch of one
            continue
        batch, height, width, channels = (int(size) for size in target)
        shape = work.constant(np.array([batch, channels, height, width], "int64"))
        rows = work.insert(transpose, "Transpose", [reshape.input[0]], [None, channels, source[1]], perm=SWAP)
        work.replace(transpose, work.insert(transpose, "Reshape", [rows, shape], [None, channels, height, width]))
        return True
    return False


def _pointwise_first(work: GraphEdit) -> bool:
    """An elementwise operator on operands with the same Transpose, and on single numbers, runs before the Transpose."""
    for node in (node for op_type in POINTWISE for node in work.kind(op_type)):
        transposes = [work.maker(name) for name in node.input if name and name not in work.constants]
        numbers = [work.array(name) for name in node.input if name in work.constants]
        perm = _permutation(transposes[0]) if transposes else None
        if perm is None or any(_permutation(transpose) != perm for transpose in transposes):
            continue
        if any(number is None or number.size != 1 or number.ndim > len(perm) for number in numbers):
            continue
        inputs = [name if name in work.constants or not name else work.maker(name).input[0] for name in node.input]
        shape = work.shapes.get(node.output[0], [])
        plain = [shape[perm.index(axis)] for axis in range(len(perm))] if len(shape) == len(perm) else []
        result = work.insert(node, node.op_type, inputs, plain, **work.attributes(node))
        work.replace(node, work.insert(node, "Transpose", [result], shape, perm=perm))
        return True
    return False


def _gate_first(work: GraphEdit) -> bool:
    """A channels-last map combined with a (b, 1, 1, c) vector is combined with (b, c, 1, 1), then transposed."""
    for node in (node for op_type in ("Mul", "Add", "Sub", "Div") for node in work.kind(op_type)):
        for index in (0, 1):
            transpose, vector = work.maker(node.input[index]), node.input[1 - index]
            sizes = work.shapes.get(vector, [])
            if _permutation(transpose) != TO_LAST or len(sizes) != 4 or sizes[1:3] != [1, 1] or sizes[3] is None:
                continue
            if vector in work.constants:
                continue
            shape = [None, sizes[3], 1, 1]
            constant = work.constant(np.array([-1, *shape[1:]], "int64"))
            inputs = [transpose.input[0], work.insert(node, "Reshape", [vector, constant], shape)]
            inputs = inputs if index == 0 else inputs[::-1]
            combined = work.insert(node, node.op_type, inputs, work.shapes.get(transpose.input[0], []))
            shape = work.shapes.get(node.output[0], [])
            work.replace(node, work.insert(node, "Transpose", [combined], shape, perm=TO_LAST))
            return True
    return False


def _cancel_transposes(work: GraphEdit) -> bool:
    """Two Transposes in a row that undo each other go."""
    for second in work.kind("Transpose"):
        first = work.maker(second.input[0])
        before, after = _permutation(first), _permutation(second)
        if before is None or after is None or [before[axis] for axis in after] != sorted(before):
            continue
        if second.output[0] not in work.outputs:
            work.replace(second, first.input[0])
            return True
    return False


def _join_products(work: GraphEdit) -> None:
    """A product with transposed operands or a transposed result is one Einsum."""
    for product in work.kind("MatMul"):
        if any(len(work.shapes.get(name, [])) != 3 for name in product.input):
            continue
        terms, operands = ["bij", "bjk"], list(product.input)
        for index, name in enumerate(product.input):
            transpose = work.maker(name)
            if _permutation(transpose) == SWAP:
                terms[index] = terms[index][0] + terms[index][:0:-1]
                operands[index] = transpose.input[0]
        if any(name in work.constants or len(work.shapes.get(name, [])) != 3 for name in operands):
            continue  # a constant's batch of one would have to be broadcast
        result, last = "bik", product
        after = work.only_reader(product.output[0])
        if _permutation(after) == SWAP:
            result, last = "bki", after
        if (terms, result) == (["bij", "bjk"], "bik"):
            continue
        sizes = {
            letter: size or 1
            for term, name in zip(terms, operands, strict=True)
            for letter, size in zip(term, work.shapes[name], strict=True)
        }
        if _copied(terms[::-1], result, sizes) < _copied(terms, result, sizes):
            terms, operands = terms[::-1], operands[::-1]
        equation = f"{terms[0]},{terms[1]}->{result}"
        shape = work.shapes.get(last.output[0], [])
        work.replace(last, work.insert(product, "Einsum", operands, shape, equation=equation))


def _copied(terms: Sequence[str], result: str, sizes: dict[str, int]) -> int:
    """How many numbers a runtime transposes inside an Einsum with these operands: all that MatMul takes otherwise.

    onnxruntime makes it a MatMul between transposes of its own. Measurements show that these are what an Einsum costs
    more.
    """
    (own,), (other,) = (set(term) - set(terms[1 - index]) for index, term in enumerate(terms))
    (shared,) = set(terms[0]) & set(terms[1]) - {"b"}
    wanted = (f"b{own}{shared}", f"b{shared}{other}", f"b{own}{other}")
    found = (*terms, result)
    return sum(
        math.prod(sizes.get(letter, 1) for letter in have)
        for have, want in zip(found, wanted, strict=True)
        if have != want
    )
