"""A softmax over parallel branches, channel by channel, in a form that exports."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from keras import ops


def softmax_over(scores: Sequence[Any]) -> list[Any]:
    """Weights of the branches, each shaped like its scores; for every entry they sum to one over the branches.

    Unrolled: a stack of the branches would be of rank 5, and slices of a softmax over a packed axis do not load
    everywhere. Two branches are a sigmoid of the difference; one alone has the weight 1, with a gradient of zero.
    """
    if len(scores) == 2:
        gate = ops.sigmoid(scores[0] - scores[1])
        return [gate, 1.0 - gate]
    top = functools.reduce(ops.maximum, scores)
    e = [ops.exp(score - top) for score in scores]
    scale = 1.0 / functools.reduce(ops.add, e)
    return [each * scale for each in e]


def weighted_sum(branches: Sequence[Any], weights: Sequence[Any]) -> Any:
    """The branches' maps, each times its (batch, 1, 1, channels) weights, added."""
    return functools.reduce(ops.add, [x * a for x, a in zip(branches, weights, strict=True)])


def as_rows(weights: Sequence[Any]) -> Any:
    """The (batch, 1, 1, channels) weights of the branches as one (batch, branches, channels) tensor."""
    return ops.concatenate([ops.squeeze(a, 1) for a in weights], axis=1)
