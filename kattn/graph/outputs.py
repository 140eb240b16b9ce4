"""The outputs of a model: their names, the one that counts, and labels for those that are trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras

MAIN_OUTPUT = "predictions"


def named_outputs(model: Any, outputs: Any = None) -> dict[str, Any]:
    """The outputs of a model by name: the one rule for exports, explanations and evaluations.

    A dict gives its keys, and a single output is called "predictions". The outputs of a list have the names of the
    layers that make them; where one layer makes several, the second is called "layer_2", and so on.

    Args:
        model: A functional or built Sequential model.
        outputs: Other tensors or arrays in the structure of the model's outputs, to name instead.

    Returns: name to tensor, in order.
    """
    outputs = outputs_of(model) if outputs is None else outputs
    if isinstance(outputs, Mapping) and not any(isinstance(one, (Mapping, list, tuple)) for one in outputs.values()):
        return {str(name): one for name, one in outputs.items()}
    flat = keras.tree.flatten(outputs)
    if len(flat) == 1:
        return {MAIN_OUTPUT: flat[0]}
    named: dict[str, Any] = {}
    for layer, one in zip(model.output_names, flat, strict=True):
        name, count = str(layer), 1
        while name in named:
            count += 1
            name = f"{layer}_{count}"
        named[name] = one
    return named


def outputs_of(model: Any) -> Any:
    """The outputs of a functional or built Sequential model, in their structure."""
    return model.outputs[0] if isinstance(model, keras.Sequential) else model.output


def choose_output(names: Iterable[str], wanted: str | int | None, model: str) -> str:
    """The name of the output that a user asks for.

    Args:
        names: Of the outputs there are.
        wanted: A name or an index. None: "predictions" where there is such an output, else the first.
        model: The model's name, for the error.

    Raises: ValueError for an output that is not there.
    """
    names = list(names)
    if wanted is None:
        return MAIN_OUTPUT if MAIN_OUTPUT in names else names[0]
    if isinstance(wanted, int) and not isinstance(wanted, bool) and 0 <= wanted < len(names):
        return names[wanted]
    if isinstance(wanted, str) and wanted in names:
        return wanted
    raise ValueError(f"model {model!r} has the outputs {', '.join(names)}. Received: output={wanted!r}")


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
    output = outputs_of(model)
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
    tensor = outputs_of(model) if name is None else model.output[name]
    return None if tensor.shape[-1] is None else int(tensor.shape[-1])
