"""An ONNX graph that is being changed: who makes and who reads each tensor, kept right while nodes come and go."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

LONGEST_SHAPE = 64  # numbers


class GraphEdit:
    """Nodes with who makes and who reads each tensor; the ModelProto has the changes after `write_back`.

    Nodes are told apart by identity: comparing them takes long.

    Args:
        model: The ModelProto to change.
        infer: Know the shapes of all tensors, not only those of constants, inputs and outputs.
    """

    def __init__(self, model: Any, infer: bool = False) -> None:
        self.graph = model.graph
        self.nodes = list(self.graph.node)
        self.constants = {tensor.name: tensor for tensor in self.graph.initializer}
        shaped = _inferred(model) if infer else self.graph
        self.shapes: dict[str, list[int | None]] = {
            value.name: [dim.dim_value or None for dim in value.type.tensor_type.shape.dim]
            for value in (*shaped.value_info, *shaped.input, *shaped.output)
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
        """The node that makes a tensor; None for inputs and constants."""
        return self._makers.get(name)

    def readers(self, name: str) -> list[Any]:
        """The nodes that read a tensor."""
        return list(self._readers.get(name, ()))

    def only_reader(self, name: str) -> Any:
        """The one node that reads a tensor; None if there are more, or if it is an output of the graph."""
        readers = self.readers(name)
        return readers[0] if len(readers) == 1 and name not in self.outputs else None

    def kind(self, op_type: str) -> Iterator[Any]:
        """The nodes of one operator, as they are now."""
        return (node for node in list(self.nodes) if node.op_type == op_type)

    def array(self, name: str) -> np.ndarray | None:
        """A constant's value; None for what is no constant."""
        import onnx

        return onnx.numpy_helper.to_array(self.constants[name]) if name in self.constants else None

    def number(self, name: str) -> float | None:
        """A constant of one element as a number."""
        value = self.array(name)
        return None if value is None or value.size != 1 else float(value.reshape(()))

    def attributes(self, node: Any) -> dict[str, Any]:
        """A node's attributes by name."""
        import onnx

        return {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}

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

    def rename(self, node: Any, old: str, new: str) -> None:
        """Let a node read or make another tensor in place of one."""
        self._unlink(node)
        for names in (node.input, node.output):
            names[:] = [new if name == old else name for name in names]
        self._link(node)

    def replace(self, node: Any, name: str) -> None:
        """Let whoever reads a node's result read another tensor; the node itself goes, unless it makes an output."""
        output = node.output[0]
        readers = self.readers(name if output in self.outputs else output)
        if output in self.outputs:
            maker = self.maker(name)
            self.remove(node)
            self.rename(maker, name, output)
            for reader in readers:
                if reader is not node:
                    self.rename(reader, name, output)
        else:
            for reader in readers:
                self.rename(reader, output, name)
            self.remove(node)

    def remove(self, node: Any) -> None:
        """Take a node out."""
        self._unlink(node)
        del self.nodes[self._position(node)]

    def drop_unused(self) -> None:
        """Take out the nodes whose results nobody reads."""
        for node in self.nodes[::-1]:  # what only a node that goes has read goes too
            if not any(name in self.outputs or self._readers.get(name) for name in node.output):
                self.remove(node)

    def write_back(self) -> None:
        """Make the model's graph hold these nodes, and the constants that they read."""
        del self.graph.node[:]
        self.graph.node.extend(self.nodes)
        for name in [name for name in self.constants if name not in self.outputs and not self._readers.get(name)]:
            self.graph.initializer.remove(self.constants.pop(name))


def _inferred(model: Any) -> Any:
    """The graph with the shapes inside it, and its weights as inputs: with them it may be more than protobuf takes."""
    import onnx

    bare = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    bare.graph.name = model.graph.name
    bare.graph.node.extend(model.graph.node)
    bare.graph.input.extend(model.graph.input)
    bare.graph.output.extend(model.graph.output)
    for tensor in model.graph.initializer:
        if math.prod(tensor.dims) <= LONGEST_SHAPE:  # may be what a Reshape goes by
            bare.graph.initializer.append(tensor)
        else:
            bare.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    return onnx.shape_inference.infer_shapes(bare).graph
