"""What XNNPACK, which speeds up TFLite on processors, takes of a file."""

from __future__ import annotations

from typing import Any


def xnnpack(path: str) -> dict[str, Any]:
    """What XNNPACK takes of a .tflite file, seen in the interpreter that is installed here. A task for the child.

    Returns: An entry of `Report.delegates`; "left" has the names of tensors in place of layers.
    """
    from importlib import metadata

    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=path)
    interpreter.allocate_tensors()
    details = interpreter._get_ops_details()  # the only list that tells which operators a delegate replaced
    delegates = [operator for operator in details if operator["op_name"] == "DELEGATE"]
    nodes = [operator for operator in details if operator["op_name"] != "DELEGATE"]
    maker = {int(tensor): index for index, node in enumerate(nodes) for tensor in node["outputs"]}
    taken: set[int] = set()
    for delegate in delegates:
        given = {int(tensor) for tensor in delegate["inputs"]}
        waiting = [int(tensor) for tensor in delegate["outputs"]]
        while waiting:
            index = maker.get(waiting.pop())
            if index is not None and index not in taken:
                taken.add(index)
                waiting.extend(int(t) for t in nodes[index]["inputs"] if int(t) not in given)
    names = {detail["index"]: detail["name"] for detail in interpreter.get_tensor_details()}
    left: dict[str, list[str]] = {}
    for index, node in enumerate(nodes):
        if index not in taken:
            left.setdefault(node["op_name"], []).extend(names.get(int(t), "?") for t in node["outputs"])
    return {
        "takes": "all" if not left else "a part" if taken else "none",
        "left": left,
        "note": f"{len(taken)} of {len(nodes)} operators in {len(delegates)} parts",
        "source": f"seen here, ai-edge-litert {metadata.version('ai-edge-litert')}",
    }
