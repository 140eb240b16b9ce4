"""What in a .tflite graph a delegate or a phone would refuse."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kattn.export.source.names import first_layers, layer_among
from kattn.export.to_tflite.graph import Operator, TFLiteGraph

# Operators whose result depends on the shape of a tensor at run time; a delegate gives up on the graph, or on the rest
# of it.
DYNAMIC = ("SHAPE", "RANK", "WHERE", "RANGE", "UNIQUE")
# Operators that take a shape or positions as a tensor: fine where that is a constant.
CONSTANT_INPUTS = {
    "RESHAPE": (1,),
    "FILL": (0,),
    "GATHER": (1,),
    "GATHER_ND": (1,),
    "BROADCAST_TO": (1,),
    "SLICE": (1, 2),
    "STRIDED_SLICE": (1, 2, 3),
    "TILE": (1,),
}
HIGHEST_RANK = 4
FLOATS = ("FLOAT32", "FLOAT16")
CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")


def findings(
    graph: TFLiteGraph,
    *,
    fixed_batch: bool,
    integer: bool,
    layer_of: Callable[[str], str],
    float_layers: Sequence[str] = (),
) -> dict[str, str]:
    """What a delegate or a phone would refuse: "operator: reason" to a sentence that names the layers; empty if clean.

    Args:
        fixed_batch: No shape may depend on the input at run time.
        integer: Every operator must work on integers, save the conversion at the edges.
        layer_of: Tensor name to Keras layer.
        float_layers: Layers that were to stay in floating point.
    """
    found: dict[str, list[str]] = {}
    for operator in graph.operators:
        names = [tensor.name for tensor in (*operator.outputs, *operator.inputs)]
        kept = {layer_of(name) for name in names} & set(float_layers)
        reasons = [_foreign(operator), _large(operator)]
        if fixed_batch:
            reasons.append(_dynamic(operator))
        if integer and not kept and not (float_layers and operator.name in CONVERSIONS):
            reasons.append(_floating(operator, graph))
        for reason in filter(None, reasons):
            found.setdefault(f"{operator.name}: {reason}", []).append(layer_among(names, layer_of))
    return {key: f"{key} (layers: {', '.join(first_layers(layers))})" for key, layers in found.items()}


def _foreign(operator: Operator) -> str | None:
    if operator.name.startswith("Flex"):
        return "needs TensorFlow's own kernels, which no phone has"
    return "an operator outside TensorFlow Lite" if operator.name.startswith("CUSTOM") else None


def _large(operator: Operator) -> str | None:
    large = any(len(tensor.shape) > HIGHEST_RANK for tensor in (*operator.inputs, *operator.outputs))
    return f"a tensor of more than {HIGHEST_RANK} dimensions" if large else None


def _dynamic(operator: Operator) -> str | None:
    if operator.name in DYNAMIC:
        return "depends on shapes at run time"
    if operator.name == "GATHER" and operator.inputs[0].constant:  # rows of a table
        return None
    shapes = [operator.inputs[i] for i in CONSTANT_INPUTS.get(operator.name, ()) if i < len(operator.inputs)]
    unknown = any(not tensor.constant for tensor in shapes) or any(
        -1 in tensor.signature for tensor in operator.outputs
    )
    return "a shape or positions that are known at run time only" if unknown else None


def _floating(operator: Operator, graph: TFLiteGraph) -> str | None:
    if operator.name == "DEQUANTIZE":
        return None if operator.outputs[0] in graph.outputs else "beside a part left in floating point"
    if operator.name == "QUANTIZE":
        given = operator.inputs[0]
        return None if given.dtype not in FLOATS or given in graph.inputs else "beside a part left in floating point"
    return "left in floating point" if in_floats(operator) else None


def in_floats(operator: Operator) -> bool:
    """Whether an operator computes in floating point: no conversion."""
    tensors = (*operator.inputs, *operator.outputs)
    return operator.name not in CONVERSIONS and any(tensor.dtype in FLOATS for tensor in tensors)
