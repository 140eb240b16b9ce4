"""Look into a SavedModel before TensorFlow loads it, because loading already runs its initialisers.

A SavedModel is a program: its operators can read, write and list files, call Python and print to files. It is read here
as the protocol buffer that it is; nothing of it runs.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any

from kattn.export.errors import ExportError, ExportInputError

GRAPH = "saved_model.pb"
MOST_BYTES = (
    24 << 20
)  # of the graph without its variables; a protocol buffer takes up to forty times its size in memory
MOST_NODES = 200_000
SHOWN = 5  # of what was found
# Each SavedModel has functions that write and read its variables. TensorFlow 2 keeps them for others and calls none.
CHECKPOINT = frozenset(("SaveV2", "RestoreV2", "MergeV2Checkpoints", "ShardedFilename"))


@functools.cache
def computing() -> frozenset[str]:
    """The operators that only compute: those of operators.toml."""
    families = tomllib.loads(resources.files(__package__).joinpath("operators.toml").read_text(encoding="utf-8"))
    return frozenset(name for names in families.values() for name in names.split())


def beyond_computing(folder: Path) -> list[str]:
    """What a SavedModel could do beside computing: operators and files, each with where it is. Empty where it cannot.

    Raises: ExportInputError for a graph that is too large to be looked through; ExportError for a damaged one.
    """
    (graph, *others) = _read(folder / GRAPH).meta_graphs or [None]
    if graph is None:
        raise ExportError("it holds no graph")
    if others or not graph.HasField("object_graph_def"):
        return ["initialisers of TensorFlow 1, which run while it is loaded"]
    functions = {function.signature.name: function for function in graph.graph_def.library.function}
    bodies: dict[str, Sequence[Any]] = {"": graph.graph_def.node} | {k: f.node_def for k, f in functions.items()}
    if (count := sum(len(body) for body in bodies.values()) + len(graph.object_graph_def.nodes)) > MOST_NODES:
        raise ExportInputError(
            f"{folder} has {count:,} operators and objects, more than the {MOST_NODES:,} that are looked through. If "
            "you trust where it comes from, pass trust=True."
        )
    calls = {name: {called for node in body for called in _called(node, functions)} for name, body in bodies.items()}
    saver = _saver(graph, functions, calls)
    found: dict[str, str] = {}  # what, and where it was seen first
    for name, body in bodies.items():
        known = computing() | functions.keys() | (CHECKPOINT if name in saver else set())
        for node in body:
            if node.op not in known:
                found.setdefault(node.op, name)
    found |= {f"a call of {name}, which writes or reads variables": "" for name in _called_besides(graph, saver, calls)}
    listed = [f"{what} in {where}" if where else what for what, where in sorted(found.items())]
    listed += sorted({f"the file {asset.filename!r:.100}" for asset in graph.asset_file_def if _leaves(asset.filename)})
    return listed if len(listed) <= SHOWN else [*listed[:SHOWN], f"{len(listed) - SHOWN} more"]


def _read(path: Path) -> Any:
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    if (size := path.stat().st_size) > MOST_BYTES:
        raise ExportInputError(
            f"{path} has {size >> 20} MB, more than the {MOST_BYTES >> 20} MB that are looked through. If you trust "
            "where it comes from, pass trust=True."
        )
    model = SavedModel()
    try:
        model.ParseFromString(path.read_bytes())
    except DecodeError:
        raise ExportError(f"{path.name} is damaged") from None
    return model


def _called(node: Any, functions: Mapping[str, Any]) -> Iterator[str]:
    """The functions of the library that a node names, as its operator or in an attribute."""
    names = [node.op]
    for value in node.attr.values():
        names += [value.func.name, *(function.name for function in value.list.func)]
    return (name for name in names if name in functions)


def _saver(graph: Any, functions: Mapping[str, Any], calls: Mapping[str, set[str]]) -> set[str]:
    """The functions that write and read the variables: what the nodes named by `saver_def` call."""
    ends = (graph.saver_def.save_tensor_name, graph.saver_def.restore_op_name)
    nodes = {name.partition(":")[0] for name in ends}
    waiting = [name for node in graph.graph_def.node if node.name in nodes for name in _called(node, functions)]
    saver: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in saver:
            saver.add(name)
            waiting += calls[name]
    return saver


def _called_besides(graph: Any, saver: set[str], calls: Mapping[str, set[str]]) -> set[str]:
    """Those functions of the saver that something else could call."""
    ends = {graph.saver_def.save_tensor_name.partition(":")[0], graph.saver_def.restore_op_name.partition(":")[0]}
    library = graph.graph_def.library
    called = set(graph.object_graph_def.concrete_functions)
    called |= {gradient.gradient_func for gradient in library.gradient}
    called |= {function.signature.name for function in library.function if "api_implements" in function.attr}
    called |= {name for function, names in calls.items() if function and function not in saver for name in names}
    called |= {name for node in graph.graph_def.node if node.name not in ends for name in _called(node, calls)}
    return called & saver


def _leaves(name: str) -> bool:
    """Whether the name of an asset leads out of the SavedModel's folder."""
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or ":" in name or "\0" in name
