"""Run .tflite files in ai-edge-litert: numbers in and out of its tensors, and inner results."""

from __future__ import annotations

from typing import Any

import numpy as np

from kattn.export.proof.runner import as_dtype


def to_tensor(images: np.ndarray, detail: dict[str, Any]) -> np.ndarray:
    """Real numbers as a tensor takes them: quantised by its scale and zero point, in its number type."""
    scale, zero_point = detail["quantization"]
    if scale:
        images = images.astype("float32") / scale + zero_point
    return as_dtype(images, detail["dtype"])


def to_numbers(value: np.ndarray, detail: dict[str, Any]) -> np.ndarray:
    """A tensor's value in real numbers."""
    scale, zero_point = detail["quantization"]
    value = value.astype("float32")
    return ((value - zero_point) * scale).astype("float32") if scale else value


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


def invoke(path: str) -> None:
    """Run a file once on whatever is in its input. A task for the child: kernels end their process on some scales."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=path)
    interpreter.allocate_tensors()
    interpreter.invoke()


def input_details(interpreter: Any) -> dict[str, dict[str, Any]]:
    """The inputs by their names in the serving signature, or in the first there is, or of their own."""
    return _named(interpreter, "get_input_details")


def output_details(interpreter: Any) -> dict[str, dict[str, Any]]:
    """The outputs, named likewise."""
    return _named(interpreter, "get_output_details")


def _named(interpreter: Any, which: str) -> dict[str, dict[str, Any]]:
    details = {detail["index"]: detail for detail in getattr(interpreter, which)()}
    keys = list(interpreter.get_signature_list())
    if not keys:
        return {detail["name"]: detail for detail in details.values()}
    runner = interpreter.get_signature_runner("serving_default" if "serving_default" in keys else keys[0])
    return {name: details[detail["index"]] for name, detail in getattr(runner, which)().items()}
