"""One set of labels for a model of one or of several outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

MAIN_OUTPUT = "predictions"


def targets_for(model: Any) -> Callable[[Any], Any]:
    """A function that hands labels (or a loss, or metrics) to every output that is trained on them.

    Keras refuses one loss or one `y` for the two outputs of an attention branch network. With

        per_output = kattn.targets_for(model)
        model.compile("sgd", loss=per_output("sparse_categorical_crossentropy"), metrics=per_output(["accuracy"]))
        model.fit(images, per_output(labels))

    both branches are trained, and the loss is their sum as in the authors' code. For a model of one output the function
    returns its argument, so that the same three lines serve every model of the zoo.

    Args:
        model: A Keras model of one output, or of a dict of outputs. Outputs (batch, classes) take a loss and metrics;
            others, such as an attention map, take none, but Keras wants a label for them too, which it does not use.

    Returns: labels -> labels, or labels -> {output: labels}.
    Raises: ValueError for a model whose outputs come as a list, or without an output of rank 2.
    """
    names = class_outputs(model)
    if names is None:
        return lambda labels: labels
    return lambda labels: dict.fromkeys(model.output if hasattr(labels, "shape") else names, labels)


def class_outputs(model: Any) -> list[str] | None:
    """Names of the outputs that are classifications, the main one first; None for a model of one output."""
    output = model.output
    if isinstance(output, Mapping):
        names = [name for name, tensor in output.items() if len(tensor.shape) == 2]
        if not names:
            raise ValueError(f"None of the outputs {', '.join(output)} of {model.name} has the shape (batch, classes).")
        return sorted(names, key=lambda name: name != MAIN_OUTPUT)
    if isinstance(output, (list, tuple)):
        raise ValueError(
            f"{model.name} has a list of {len(output)} outputs; kattn takes one output, or a dict of them."
        )
    return None


def main_output(model: Any) -> str | None:
    """Name of the output that counts as the model's answer; None for a model of one output."""
    names = class_outputs(model)
    return names[0] if names else None


def class_count(model: Any) -> int | None:
    """Number of classes of the model's answer, where it is fixed."""
    name = main_output(model)
    tensor = model.output if name is None else model.output[name]
    return None if tensor.shape[-1] is None else int(tensor.shape[-1])
