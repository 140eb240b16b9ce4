"""From Keras to a tidy ONNX graph: tf2onnx, then what makes its result portable and repeatable."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from typing import Any

import numpy as np

from kattn.export.errors import ExportError
from kattn.export.quiet import converting
from kattn.export.source.model import Source
from kattn.export.to_onnx.activations import name_activations
from kattn.export.to_onnx.padding import absorb_padding
from kattn.export.to_onnx.products import absorb_transposes

CONVERTED_OPSET = 17  # the newest at which tf2onnx leaves no Transpose; newer ones are reached by ONNX's own converter
# Protobuf's limit, with room for the graph itself: above it the weights go into a file of their own.
LARGEST_FILE = 2**31 - 2**24
FROZEN_AT_START = 1000  # objects; Python 3.12 sets some hundreds apart before it runs anything


def converted(source: Source, *, layout: str, batch: int | None, opset: int) -> Any:
    """The simplified float32 graph as a ModelProto."""
    import onnx
    import onnxslim
    import tensorflow as tf
    import tf2onnx

    signature = source.signature(batch)
    images = [name for name, taken in source.inputs.items() if len(taken.shape) == 3]
    maps = [name for name in source.outputs if len(source.model.output[name].shape) == 4]
    large = 4 * source.model.count_params() > LARGEST_FILE
    with converting("The conversion to ONNX"), _numpy_one_names(), _copies_freed():
        function = tf.function(source.function(), input_signature=signature, autograph=False)
        proto, storage = tf2onnx.convert.from_function(
            function,
            input_signature=signature,
            opset=min(opset, CONVERTED_OPSET),
            inputs_as_nchw=images if layout == "nchw" else None,
            outputs_as_nchw=maps if layout == "nchw" and maps else None,
            large_model=large,
            custom_rewriter=[_numbers_as_vectors, _reversed_by_position],
        )
        if storage is not None:
            _take_in(proto, storage)
        _fix_constants(proto.graph, function.get_concrete_function(*signature))
        _spell_out_erfc(proto.graph)
        # tf2onnx calls an open batch "unk__123", another number on each run, and leaves shapes that say so inside.
        del proto.graph.value_info[:]
        for value in (*proto.graph.input, *proto.graph.output):
            _name_open_sizes(value, batch)
        if not large:  # onnxslim hands the graph to protobuf as one message
            proto = onnxslim.slim(proto)
        proto = absorb_padding(absorb_transposes(name_activations(proto)))
        if opset > CONVERTED_OPSET:
            proto = onnxslim.slim(onnx.version_converter.convert_version(proto, opset))
        del proto.graph.value_info[:]
        used = {node.domain for node in proto.graph.node}
        imports = [entry for entry in proto.opset_import if entry.domain in used]
        del proto.opset_import[:]
        proto.opset_import.extend(imports)
        proto.ir_version = max(proto.ir_version, onnx.helper.find_min_ir_version_for(proto.opset_import))
    return proto


def _name_open_sizes(value: Any, batch: int | None) -> None:
    """Call an open batch "batch", and other open sizes by their tensor and axis."""
    for axis, dim in enumerate(value.type.tensor_type.shape.dim):
        if axis == 0 and batch is None:
            dim.dim_param = "batch"
        elif not dim.dim_value:
            dim.dim_param = f"{value.name}_size_{axis}"


def in_half(graph: Any) -> Any:
    """Weights and arithmetic in half precision between float32 inputs and outputs."""
    from onnxruntime.transformers import float16

    with converting("The conversion to float16"):
        half = float16.convert_float_to_float16(graph, keep_io_types=True)
        _sort(half.graph)
    return half


def _sort(graph: Any) -> None:
    """Put the nodes in an order in which each comes after its inputs: the converter appends its casts at the end."""
    ready = {value.name for value in (*graph.input, *graph.initializer)} | {""}
    waiting, ordered = list(graph.node), []
    while waiting:
        late = []
        for node in waiting:
            if ready.issuperset(node.input):
                ordered.append(node)
                ready.update(node.output)
            else:
                late.append(node)
        if len(late) == len(waiting):
            raise ExportError("The ONNX graph has a cycle.")
        waiting = late
    copies = [type(node).FromString(node.SerializeToString()) for node in ordered]
    del graph.node[:]
    graph.node.extend(copies)


@contextlib.contextmanager
def _numpy_one_names() -> Iterator[None]:
    """tf2onnx 1.17 still calls numpy.product, which numpy 2 dropped, where it stores large tensors apart."""
    missing = not hasattr(np, "product")
    if missing:
        setattr(np, "product", np.prod)  # noqa: B010
    try:
        yield
    finally:
        if missing:
            delattr(np, "product")


def _numbers_as_vectors(graph: Any, ops: Any) -> Any:
    """Rewriter of tf2onnx: a number that is added becomes a vector of one, which adds the same.

    tf2onnx 1.17 looks for the length of what is added behind a convolution without bias, to make a bias of it. A number
    has none, and the whole step that takes out Transposes fails, in silence: every convolution keeps two.
    """
    for node in ops:
        if node.type in ("Add", "AddV2") and node.inputs[1].is_const() and graph.get_rank(node.input[0]):
            value = node.inputs[1].get_tensor_value(as_list=False)
            if np.ndim(value) == 0:
                vector = graph.make_const(f"{node.name}__vector", np.reshape(value, 1))
                graph.replace_input(node, node.input[1], vector.output[0], 1)
    return graph.get_nodes()


def _reversed_by_position(graph: Any, ops: Any) -> Any:
    """Rewriter of tf2onnx: an axis of known length is reversed by its positions; ONNX reverses sequences of any."""
    for node in ops:
        if node.type != "ReverseV2" or not node.inputs[1].is_const():
            continue
        shape = graph.get_shape(node.input[0]) or []
        axes = np.reshape(node.inputs[1].get_tensor_value(as_list=False), -1)
        if len(axes) != 1 or not shape or shape[axes[0]] < 1:
            continue
        positions = graph.make_const(f"{node.name}__positions", np.arange(shape[axes[0]] - 1, -1, -1, dtype="int64"))
        inputs, shapes, dtypes = [node.input[0], positions.output[0]], node.output_shapes, node.output_dtypes
        graph.remove_node(node.name)
        axis = {"axis": int(axes[0])}
        graph.make_node("Gather", inputs, attr=axis, name=node.name, outputs=node.output, shapes=shapes, dtypes=dtypes)
    return graph.get_nodes()


def _fix_constants(graph: Any, function: Any) -> None:
    """Give the tensors that layers hold beside their weights (Normalization its mean and variance) their values.

    TensorFlow lists such a tensor among the inputs of the traced function, like the variables. tf2onnx leaves out only
    the variables and makes a second input of the graph of it.
    """
    import onnx

    captured = function.captured_inputs
    inner = function.inputs[len(function.inputs) - len(captured) :]
    values = {tensor.name: value for tensor, value in zip(inner, captured, strict=True)}
    used = {name for node in graph.node for name in node.input}
    for name in [value.name for value in graph.input if value.name in values]:
        if name in used:
            graph.initializer.append(onnx.numpy_helper.from_array(values[name].numpy(), name))
    inputs = [value for value in graph.input if value.name not in values]
    del graph.input[:]
    graph.input.extend(inputs)


def _spell_out_erfc(graph: Any) -> None:
    """Keras's exact GELU has 1 - erf(x) as one operation, which ONNX does not have and tf2onnx leaves as it is."""
    import onnx

    nodes = []
    for node in graph.node:
        if node.op_type != "Erfc":
            nodes.append(node)
            continue
        one, erf = f"{node.output[0]}__one", f"{node.output[0]}__erf"
        graph.initializer.append(onnx.numpy_helper.from_array(np.array(1, "float32"), one))
        nodes.append(onnx.helper.make_node("Erf", list(node.input), [erf], name=erf))
        nodes.append(onnx.helper.make_node("Sub", [one, erf], list(node.output), name=node.name))
    if len(nodes) > len(graph.node):
        del graph.node[:]
        graph.node.extend(nodes)


@contextlib.contextmanager
def _copies_freed() -> Iterator[None]:
    """tf2onnx copies the graph, weights and all, for every step of its optimizer (66 copies of a ResNet-50), in cycles
    that only the garbage collector can free. It comes too late, since it waits for the number of objects to grow by a
    quarter, and TensorFlow's are a million: here those are set apart."""
    if gc.get_freeze_count() > FROZEN_AT_START:  # the process has its own plan
        yield
        return
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.collect()  # it now knows of no objects
    gc.set_threshold(1000, 2, 2)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


def _take_in(graph: Any, storage: Any) -> None:
    """Put the tensors that tf2onnx keeps apart for a large model back into its graph."""
    for tensor in (
        *graph.graph.initializer,
        *(a.t for node in graph.graph.node for a in node.attribute if a.HasField("t")),
    ):
        if tensor.external_data:
            tensor.raw_data = storage.name_to_tensor_data[tensor.external_data[0].value]
            del tensor.external_data[:]
            tensor.ClearField("data_location")
