"""ABN in a network: the attention branch in front of the last stage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from kattn.layers.attention_branch import AttentionBranch
from kattn.zoo.grammar.assembly import Head


def apply_map(x: Any, attention: Any, mechanism: str) -> Any:
    """The map M applied to g: g, g * M or g * (1 + M) for "none", "mul" and "residual"."""
    if mechanism == "none":
        return x
    gated = keras.layers.Multiply(name="attention_gate")([x, attention])
    return gated if mechanism == "mul" else keras.layers.Add(name="attention_residual")([x, gated])


def attention_branch(
    x: Any,
    last_stage: Callable[..., Any],
    head: Head,
    *,
    mechanism: str = "residual",
    attention_map: bool = False,
    map_kernel_size: int = 3,
    map_norm: bool = True,
) -> Any:
    """A copy of the last stage, at stride 1, feeds the attention branch; the branch's map gates the last stage's input.

    Args:
        x: Output of the second-to-last stage, g.
        last_stage: The last stage as a function. Each call makes a copy with weights of its own.
        head: The network's head. The branch is as wide as it has classes.
        mechanism: "residual" g * (1 + M), the default; "mul" g * M; "none" g, the paper's ablation.
        attention_map: Add the map M, (batch, height, width, 1), to the outputs.
        map_kernel_size: 3 as in the authors' code; the paper describes a 1x1 convolution.
        map_norm: Batch normalisation of the map, as in the authors' code.

    Returns: {"predictions", "attention_predictions"} and, if asked for, "attention_map"; only the features where the
        head has no classifier.
    """
    if mechanism not in ("residual", "mul", "none"):
        raise ValueError(f'mechanism must be "residual", "mul" or "none". Received: mechanism={mechanism!r}')
    branch = AttentionBranch(head.classes, map_kernel_size=map_kernel_size, map_norm=map_norm, name="attention_branch")
    logits, attention = branch(last_stage(x, strides=1, prefix="attention_"))
    predictions = head(last_stage(apply_map(x, attention, mechanism)))
    outputs = {"predictions": predictions}
    if head.include_top:
        outputs["attention_predictions"] = head.activate(logits, name="attention_predictions")
    if attention_map:
        outputs["attention_map"] = keras.layers.Identity(name="attention_map")(attention)
    return outputs if len(outputs) > 1 else predictions
