"""Names: of the tensors of every artefact, and of layers in messages and reports."""

from __future__ import annotations

from collections.abc import Iterable

INPUT = "image"
PREDICTIONS = "predictions"  # beside it, in models that have them: attention_predictions, attention_map
MOST_LAYERS = 5


def first_layers(layers: Iterable[str]) -> list[str]:
    """Layers for a message: each once, the first ones, and how many more there are."""
    unique = list(dict.fromkeys(layers))
    return unique[:MOST_LAYERS] + ([f"and {len(unique) - MOST_LAYERS} more"] if len(unique) > MOST_LAYERS else [])
