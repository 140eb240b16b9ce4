"""Look into an .onnx file before a runtime opens it: what it asks for beyond its own file and ONNX's operators."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kattn.export.errors import ExportError, ExportInputError
from kattn.export.to_onnx.counting import has_more_fields

MOST_FIELDS = 1_000_000  # of the graph, its operators and their attributes
# ONNX's own operators, and those of onnxruntime that its quantiser writes.
DOMAINS = frozenset(("", "ai.onnx", "ai.onnx.ml", "com.microsoft"))


def beyond_computing(path: Path) -> list[str]:
    """Operators of other domains, and data in files that lie outside the file's folder.

    Raises: ExportInputError for a file that is too large to be looked through; ExportError for a damaged one.
    """
    import onnx

    if has_more_fields(path, MOST_FIELDS):
        raise ExportInputError(
            f"{path} has more than {MOST_FIELDS:,} fields, and is not looked through. If you trust where it comes "
            "from, pass trust=True."
        )

    try:
        model = onnx.load(str(path), format="protobuf", load_external_data=False)
    except Exception as error:  # of protobuf, by its version
        raise ExportError(f"it is no ONNX graph ({str(error).strip()[:100]})") from None
    own = {(function.domain, function.name) for function in model.functions}
    found = set()
    for part in _parts(model):
        if isinstance(part, onnx.NodeProto):
            if part.domain not in DOMAINS and (part.domain, part.op_type) not in own:
                found.add(f"the operator {part.domain}::{part.op_type}")
        elif part.data_location == onnx.TensorProto.EXTERNAL:
            place = next((entry.value for entry in part.external_data if entry.key == "location"), "")
            if not _inside(path, place):
                found.add(f"data in the file {place!r:.100}")
    return sorted(found)


def _parts(model: Any) -> Iterator[Any]:
    """All nodes and tensors, those of inner graphs and functions too."""
    waiting = [model.graph, *model.functions]
    waiting += [graph for info in model.training_info for graph in (info.initialization, info.algorithm)]
    while waiting:
        graph = waiting.pop()
        for name in ("initializer", "sparse_initializer"):  # functions have none
            yield from _tensors(getattr(graph, name, ()))
        for attribute in getattr(graph, "attribute_proto", ()):
            waiting += [*_graphs(attribute)]
            yield from _tensors([*_held(attribute)])
        for node in graph.node:
            yield node
            for attribute in node.attribute:
                waiting += [*_graphs(attribute)]
                yield from _tensors([*_held(attribute)])


def _graphs(attribute: Any) -> Iterator[Any]:
    if attribute.HasField("g"):
        yield attribute.g
    yield from attribute.graphs


def _held(attribute: Any) -> Iterator[Any]:
    for name in ("t", "sparse_tensor"):
        if attribute.HasField(name):
            yield getattr(attribute, name)
    yield from attribute.tensors
    yield from attribute.sparse_tensors


def _tensors(found: Any) -> Iterator[Any]:
    """Tensors, of sparse ones their two parts."""
    for tensor in found:
        yield from (tensor.values, tensor.indices) if hasattr(tensor, "indices") else (tensor,)


def _inside(path: Path, place: str) -> bool:
    """Whether a file is in the folder of an .onnx file, or of the file that this is a link to."""
    if not place or "\0" in place or Path(place).is_absolute() or ".." in Path(place).parts:
        return False
    target = (path.parent / place).resolve()
    return any(target.is_relative_to(folder) for folder in (path.parent.resolve(), path.resolve().parent))
