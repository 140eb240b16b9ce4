"""Read the graph of a .tflite file: its operators and tensors, and what stands in a phone's way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kattn.export.errors import ExportError
from kattn.export.source.names import first_layers

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


@dataclass(frozen=True)
class Tensor:
    """A tensor of a graph; its signature is its shape with -1 for what is known at run time only."""

    name: str
    shape: tuple[int, ...]
    signature: tuple[int, ...]
    dtype: str
    constant: bool
    scale: tuple[float, ...] = ()
    zero_point: tuple[int, ...] = ()


@dataclass(frozen=True)
class Operator:
    """One operator: its name ("CONV_2D", "FlexErf", "CUSTOM name"), inputs and outputs."""

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


@dataclass(frozen=True)
class TFLiteGraph:
    """Operators and boundary of a file's graphs (several only where it has control flow)."""

    operators: tuple[Operator, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    @property
    def histogram(self) -> dict[str, int]:
        """Operator to its number, the most frequent first."""
        return dict(Counter(operator.name for operator in self.operators).most_common())

    @property
    def highest_rank(self) -> int:
        """Most dimensions of a tensor."""
        return max(
            (len(t.shape) for operator in self.operators for t in (*operator.inputs, *operator.outputs)), default=0
        )


def read_tflite(path: str | Path) -> TFLiteGraph:
    """The graph of a file.

    Raises: ExportError for a file that is no complete .tflite model.
    """
    from ai_edge_litert import schema_py_generated as schema

    content = Path(path).read_bytes()
    if content[4:8] != b"TFL3":
        raise ExportError(f"{path} is no .tflite file: it does not start with a TFL3 header.")
    try:
        model = schema.Model.GetRootAs(content, 0)
        operators: list[Operator] = []
        boundary: list[tuple[Tensor, ...]] = []
        types = {v: k for k, v in vars(schema.TensorType).items() if isinstance(v, int)}
        names = operator_names(model)
        _check_buffers(model, len(content))
        for g in range(model.SubgraphsLength()):
            graph = model.Subgraphs(g)
            tensors = [_tensor(model, graph.Tensors(i), types) for i in range(graph.TensorsLength())]
            for i in range(graph.OperatorsLength()):
                operator = graph.Operators(i)
                inputs = [operator.Inputs(j) for j in range(operator.InputsLength())]
                outputs = [operator.Outputs(j) for j in range(operator.OutputsLength())]
                operators.append(
                    Operator(
                        names[operator.OpcodeIndex()],
                        tuple(tensors[j] for j in inputs if j >= 0),
                        tuple(tensors[j] for j in outputs if j >= 0),
                    )
                )
            if g == 0:
                boundary.append(tuple(tensors[graph.Inputs(i)] for i in range(graph.InputsLength())))
                boundary.append(tuple(tensors[graph.Outputs(i)] for i in range(graph.OutputsLength())))
        return TFLiteGraph(tuple(operators), boundary[0], boundary[1])
    except ExportError:
        raise
    except Exception as error:  # the generated reader raises whatever a wrong offset leads to
        raise ExportError(f"{path} is a damaged .tflite file: {type(error).__name__}: {error}") from error


def operator_names(model: Any) -> list[str]:
    """Names of a file's operators, in the order of its operator codes."""
    from ai_edge_litert import schema_py_generated as schema

    builtin = {v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}
    return [_operator_name(model.OperatorCodes(i), builtin) for i in range(model.OperatorCodesLength())]


def open_interpreter(**where: Any) -> Any:
    """An interpreter whose inner results can be read: no delegate hides them, no kernel writes over them.

    Args:
        where: model_path or model_content.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        **where,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    return interpreter


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
        layers = [layer_of(name) for name in names]
        reasons = [_foreign(operator), _large(operator)]
        if fixed_batch:
            reasons.append(_dynamic(operator))
        if integer and not set(layers) & set(float_layers) and not (float_layers and operator.name in CONVERSIONS):
            reasons.append(_floating(operator, graph))
        for reason in filter(None, reasons):
            # A tensor at the boundary has the output's name: one of the operator's other tensors tells the layer.
            known = [layer for layer, name in zip(layers, names, strict=True) if layer != name] or layers
            found.setdefault(f"{operator.name}: {reason}", []).append(known[0])
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
    return "left in floating point" if any(t.dtype in FLOATS for t in (*operator.inputs, *operator.outputs)) else None


def _operator_name(code: Any, builtin: dict[int, str]) -> str:
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    name = builtin.get(number, f"BUILTIN {number}")
    if name != "CUSTOM":
        return name
    custom = (code.CustomCode() or b"?").decode()
    return custom if custom.startswith("Flex") else f"CUSTOM {custom}"


def _tensor(model: Any, tensor: Any, types: dict[int, str]) -> Tensor:
    shape = tuple(tensor.Shape(i) for i in range(tensor.ShapeLength()))
    signature = tuple(tensor.ShapeSignature(i) for i in range(tensor.ShapeSignatureLength()))
    quantisation = tensor.Quantization()
    quantised = quantisation is not None and quantisation.ScaleLength() > 0
    buffer = model.Buffers(tensor.Buffer())
    return Tensor(
        name=(tensor.Name() or b"").decode(),
        shape=shape,
        signature=signature or shape,
        dtype=types.get(tensor.Type(), "?"),
        constant=buffer.DataLength() > 0 or buffer.Offset() > 1,
        scale=tuple(quantisation.ScaleAsNumpy().tolist()) if quantised else (),
        zero_point=tuple(quantisation.ZeroPointAsNumpy().tolist()) if quantised else (),
    )


def _check_buffers(model: Any, size: int) -> None:
    """Every weight must lie inside the file: one that was cut off may have all of its table of contents."""
    for i in range(model.BuffersLength()):
        buffer = model.Buffers(i)
        end = buffer.Offset() + buffer.Size()
        if buffer.DataLength():
            end = max(end, buffer._tab.Vector(buffer._tab.Offset(4)) + buffer.DataLength())
        if end > size:
            raise ExportError("The .tflite file is cut off: it refers to weights behind its end.")
