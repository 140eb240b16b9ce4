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
