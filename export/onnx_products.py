"""Take the transposes out of a graph that matrix products and vectors do not need.

Convolutions in ONNX work on (batch, channels, height, width), attention between positions on rows (batch, positions,
channels). The conversion puts a Transpose wherever one meets the other: five for a non-local block. A product that says
how its operands lie (Einsum) needs none of them; and a vector of channels, (batch, channels, 1, 1), lies the same
however its axes are named.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

TO_LAST, TO_FIRST, SWAP = [0, 2, 3, 1], [0, 3, 1, 2], [0, 2, 1]


def absorb_transposes(graph: Any) -> Any:
    """The ModelProto without them; the very same numbers up to rounding.

    Steps, each of which keeps the values: a turn that moves nothing but axes of length 1 becomes a Reshape, and of two
    Reshapes behind each other the first one goes; a map turned channels-last and flattened is flattened first and
    turned then; rows made a map and turned channels-first are turned first; a turn moves behind a gate and behind a
    multiplication by one number; two turns that undo each other go; a product of turned operands, or one whose result
    is turned, becomes an Einsum.
    """
    import onnx

    if sum(node.op_type == "Transpose" for node in graph.graph.node) < 2:  # the image's own
        return graph
    inferred = onnx.shape_inference.infer_shapes(graph)
    work = _Graph(graph, inferred)
    steps = (_reshape_instead, _merge, _gate_first, _flatten_first, _turn_first, _scale_first, _cancel)
    while any(step(work) for step in steps):
        work.drop_unused()
    _join_products(work)
    work.drop_unused()
    work.write_back()
    return graph


class _Graph:
    """Nodes with who makes and who reads each tensor. Nodes are told apart by identity: comparing them takes long."""

    def __init__(self, model: Any, inferred: Any) -> None:
        self.graph = model.graph
        self.nodes = list(self.graph.node)
        self.constants = {tensor.name: tensor for tensor in self.graph.initializer}
        values = (*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output)
        self.shapes: dict[str, list[int | None]] = {
            value.name: [dim.dim_value or None for dim in value.type.tensor_type.shape.dim] for value in values
        }
        self.shapes |= {name: list(tensor.dims) for name, tensor in self.constants.items()}
        self.outputs = {value.name for value in self.graph.output}
        self.names = {*self.constants, *self.shapes, *(node.name for node in self.nodes)}
        self._makers: dict[str, Any] = {}
        self._readers: dict[str, list[Any]] = {}
        for node in self.nodes:
            self._link(node)

    def _link(self, node: Any) -> None:
        self.names.update(node.output)
        self._makers.update(dict.fromkeys(node.output, node))
        for name in dict.fromkeys(node.input):
            self._readers.setdefault(name, []).append(node)

    def _unlink(self, node: Any) -> None:
        for name in node.output:
            del self._makers[name]
        for name in dict.fromkeys(node.input):
            self._readers[name] = [other for other in self._readers[name] if other is not node]

    def _position(self, node: Any) -> int:
        return next(i for i, other in enumerate(self.nodes) if other is node)

    def maker(self, name: str) -> Any:
        return self._makers.get(name)

    def readers(self, name: str) -> list[Any]:
        return list(self._readers.get(name, ()))

    def only_reader(self, name: str) -> Any:
        readers = self.readers(name)
        return readers[0] if len(readers) == 1 and name not in self.outputs else None

    def kind(self, op_type: str) -> Iterator[Any]:
        return (node for node in list(self.nodes) if node.op_type == op_type)

    def rename(self, node: Any, old: str, new: str) -> None:
        """Let a node read or make another tensor in place of one."""
        self._unlink(node)
        for names in (node.input, node.output):
            names[:] = [new if name == old else name for name in names]
        self._link(node)

    def remove(self, node: Any) -> None:
        self._unlink(node)
        del self.nodes[self._position(node)]

    def array(self, name: str) -> np.ndarray | None:
        import onnx

        return onnx.numpy_helper.to_array(self.constants[name]) if name in self.constants else None

    def constant(self, array: np.ndarray) -> str:
        """A new constant; returns its name."""
        import onnx

        name = self.new("constant")
        self.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
        self.constants[name] = self.graph.initializer[-1]
        self.shapes[name] = list(array.shape)
        return name

    def insert(self, before: Any, op_type: str, inputs: Sequence[str], shape: Any, **attributes: Any) -> str:
        """A new node in front of another, which it is named after; returns the name of its result."""
        import onnx

        output = self.new(f"{before.name or before.output[0]}__{op_type}")
        node = onnx.helper.make_node(op_type, list(inputs), [output], name=output, **attributes)
        self.nodes.insert(self._position(before), node)
        self._link(node)
        self.shapes[output] = list(shape)
        return output

    def new(self, stem: str) -> str:
        """A name that no tensor and no node has."""
        name = next(name for name in (f"{stem}_{n}" for n in itertools.count()) if name not in self.names)
        self.names.add(name)
        return name

    def drop_unused(self) -> None:
        for node in self.nodes[::-1]:  # what only a node that goes has read goes too
            if not any(name in self.outputs or self._readers.get(name) for name in node.output):
                self.remove(node)

    def write_back(self) -> None:
        """Make the model's graph hold these nodes, and the constants that they read."""
        del self.graph.node[:]
        self.graph.node.extend(self.nodes)
        for name in [name for name in self.constants if name not in self.outputs and not self._readers.get(name)]:
            self.graph.initializer.remove(self.constants.pop(name))


def _turn(node: Any) -> list[int] | None:
    """The permutation of a Transpose."""
    if node is None or node.op_type != "Transpose":
        return None
    return next((list(a.ints) for a in node.attribute if a.name == "perm"), None)


def _reshape_instead(work: _Graph) -> bool:
    """A turn that leaves the axes longer than 1 in their order is a Reshape."""
    for turn in work.kind("Transpose"):
        perm, shape = _turn(turn), work.shapes.get(turn.input[0])
        if perm is None or perm[0] != 0 or shape is None or None in shape[1:]:
            continue
        long = [axis for axis in perm if axis == 0 or shape[axis] != 1]
        if long == sorted(long):
            turned = [None, *(shape[axis] for axis in perm[1:])]
            constant = work.constant(np.array([-1, *turned[1:]], "int64"))
            _replace(work, turn, work.insert(turn, "Reshape", [turn.input[0], constant], turned))
            return True
    return False


def _merge(work: _Graph) -> bool:
    """Of two Reshapes behind each other the second is enough, unless it copies sizes (a 0 in its shape)."""
    for second in work.kind("Reshape"):
        first, target = work.maker(second.input[0]), work.array(second.input[1])
        if first is not None and first.op_type == "Reshape" and target is not None and 0 not in target:
            work.rename(second, second.input[0], first.input[0])
            return True
    return False


def _flatten_first(work: _Graph) -> bool:
    """(b, c, h, w) -> (b, h, w, c) -> (b, hw, c) becomes (b, c, h, w) -> (b, c, hw) -> (b, hw, c)."""
    for reshape in work.kind("Reshape"):
        turn = work.maker(reshape.input[0])
        target = work.array(reshape.input[1])
        source = work.shapes.get(turn.input[0]) if _turn(turn) == TO_LAST else None
        sizes = [size for size in source[1:] if size is not None] if source else []
        if len(sizes) != 3 or target is None:
            continue
        channels, positions = sizes[0], sizes[1] * sizes[2]
        if len(target) != 3 or list(target[1:]) != [positions, channels]:
            continue
        shape = work.constant(np.array([target[0], channels, positions], "int64"))
        flat = work.insert(reshape, "Reshape", [turn.input[0], shape], [None, channels, positions])
        _replace(work, reshape, work.insert(reshape, "Transpose", [flat], [None, positions, channels], perm=SWAP))
        return True
    return False


def _turn_first(work: _Graph) -> bool:
    """(b, hw, c) -> (b, h, w, c) -> (b, c, h, w) becomes (b, hw, c) -> (b, c, hw) -> (b, c, h, w)."""
    for turn in work.kind("Transpose"):
        reshape = work.maker(turn.input[0])
        if _turn(turn) != TO_FIRST or reshape is None or reshape.op_type != "Reshape":
            continue
        source, target = work.shapes.get(reshape.input[0]), work.array(reshape.input[1])
        if target is None or len(target) != 4 or not source or len(source) != 3:
            continue
        if source[1:] != [target[1] * target[2], target[3]]:  # (h, w, c) that is given a batch of one
            continue
        batch, height, width, channels = (int(size) for size in target)
        shape = work.constant(np.array([batch, channels, height, width], "int64"))
        turned = work.insert(turn, "Transpose", [reshape.input[0]], [None, channels, source[1]], perm=SWAP)
        _replace(work, turn, work.insert(turn, "Reshape", [turned, shape], [None, channels, height, width]))
        return True
    return False


def _scale_first(work: _Graph) -> bool:
    """A turn followed by a multiplication with one number becomes the multiplication followed by the turn."""
    for scale in work.kind("Mul"):
        for index in (0, 1):
            turn, factor = work.maker(scale.input[index]), work.array(scale.input[1 - index])
            perm = _turn(turn)
            if perm is None or factor is None or factor.size != 1 or factor.ndim > len(perm):
                continue
            inputs = [turn.input[0], scale.input[1 - index]]
            scaled = work.insert(scale, "Mul", inputs, work.shapes.get(turn.input[0], []))
            shape = work.shapes.get(scale.output[0], [])
            _replace(work, scale, work.insert(scale, "Transpose", [scaled], shape, perm=perm))
            return True
    return False


def _gate_first(work: _Graph) -> bool:
    """A map turned channels-last and combined with a (b, 1, 1, c) vector is combined with (b, c, 1, 1), then turned."""
    for node in (node for op_type in ("Mul", "Add", "Sub", "Div") for node in work.kind(op_type)):
        for index in (0, 1):
            turn, vector = work.maker(node.input[index]), node.input[1 - index]
            sizes = work.shapes.get(vector, [])
            if _turn(turn) != TO_LAST or len(sizes) != 4 or sizes[1:3] != [1, 1] or sizes[3] is None:
                continue
            if vector in work.constants:
                continue
            shape = [None, sizes[3], 1, 1]
            constant = work.constant(np.array([-1, *shape[1:]], "int64"))
            inputs = [turn.input[0], work.insert(node, "Reshape", [vector, constant], shape)]
            inputs = inputs if index == 0 else inputs[::-1]
            combined = work.insert(node, node.op_type, inputs, work.shapes.get(turn.input[0], []))
            shape = work.shapes.get(node.output[0], [])
            _replace(work, node, work.insert(node, "Transpose", [combined], shape, perm=TO_LAST))
            return True
    return False


def _cancel(work: _Graph) -> bool:
    """Two turns behind each other that undo each other are none."""
    for second in work.kind("Transpose"):
        first = work.maker(second.input[0])
        before, after = _turn(first), _turn(second)
        if before is None or after is None or [before[axis] for axis in after] != sorted(before):
            continue
        if second.output[0] not in work.outputs:
            _replace(work, second, first.input[0])
            return True
    return False


def _join_products(work: _Graph) -> None:
    """A product with turned operands or a turned result as one Einsum."""
    for product in work.kind("MatMul"):
        if any(len(work.shapes.get(name, [])) != 3 for name in product.input):
            continue
        terms, operands = ["bij", "bjk"], list(product.input)
        for index, name in enumerate(product.input):
            turn = work.maker(name)
            if _turn(turn) == SWAP:
                terms[index] = terms[index][0] + terms[index][:0:-1]
                operands[index] = turn.input[0]
        if any(name in work.constants or len(work.shapes.get(name, [])) != 3 for name in operands):
            continue  # a constant's batch of one would have to be spread
        result, last = "bik", product
        after = work.only_reader(product.output[0])
        if _turn(after) == SWAP:
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
        _replace(work, last, work.insert(product, "Einsum", operands, shape, equation=equation))


def _copied(terms: Sequence[str], result: str, sizes: dict[str, int]) -> int:
    """Numbers that a runtime turns inside an Einsum whose operands come in this order: all that do not lie as MatMul's.

    onnxruntime makes it a MatMul between transposes of its own, which were seen to be what an Einsum costs beyond one.
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


def _replace(work: _Graph, node: Any, name: str) -> None:
    """Let whoever reads a node's result read another tensor; the node itself goes, unless it makes an output."""
    output = node.output[0]
    readers = work.readers(name if output in work.outputs else output)
    if output in work.outputs:
        maker = work.maker(name)
        work.remove(node)
        work.rename(maker, name, output)
        for reader in readers:
            if reader is not node:
                work.rename(reader, name, output)
    else:
        for reader in readers:
            work.rename(reader, output, name)
        work.remove(node)
