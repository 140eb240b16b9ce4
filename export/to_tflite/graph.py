"""Read the graph of a .tflite file: its operators and tensors."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kattn.export.errors import ExportError

LARGEST_TENSOR = 1 << 28  # numbers; a 1024 x 1024 map of 256 channels


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


def large_tensors(graph: TFLiteGraph) -> list[str]:
    """The tensors of more than LARGEST_TENSOR numbers, in words."""
    tensors = {t.name: t for operator in graph.operators for t in (*operator.inputs, *operator.outputs)}
    sizes = {name: math.prod(max(1, size) for size in tensor.shape) for name, tensor in tensors.items()}
    return [f"a tensor of {size:,} numbers ({name!r:.60})" for name, size in sizes.items() if size > LARGEST_TENSOR]


def read_tflite(path: str | Path) -> TFLiteGraph:
    """The graph of a file. Raises: ExportError for a file that is no complete .tflite model."""
    return parse_tflite(Path(path).read_bytes(), path)


def parse_tflite(content: bytes, path: str | Path = "The content") -> TFLiteGraph:
    """The graph of a file's content. Raises: ExportError, which names `path`, for what is no complete model."""
    from ai_edge_litert import schema_py_generated as schema

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
