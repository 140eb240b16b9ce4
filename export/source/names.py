"""Names: of the tensors of every artefact, and of layers in messages and reports."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

INPUT = "image"
PREDICTIONS = "predictions"  # beside it, in models that have them: attention_predictions, attention_map
MOST_LAYERS = 5


def first_layers(layers: Iterable[str]) -> list[str]:
    """Layers for a message: each once, the first ones, and how many more there are."""
    unique = list(dict.fromkeys(layers))
    return unique[:MOST_LAYERS] + ([f"and {len(unique) - MOST_LAYERS} more"] if len(unique) > MOST_LAYERS else [])


def layer_among(names: Sequence[str], layer_of: Callable[[str], str]) -> str:
    """The layer of an operator, by the first of its tensors' names that tells one: one at the boundary tells none."""
    layers = [layer_of(name) for name in names]
    known = [layer for layer, name in zip(layers, names, strict=True) if layer != name]
    return (known or layers or ["?"])[0]
