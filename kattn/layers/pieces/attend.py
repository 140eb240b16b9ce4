"""The dense attention product, softmax(scale Q K^T) V, whole or a block of queries at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

MAP_ENTRIES = 2**24  # entries of one sample's attention map made at once: 64 MiB in float32
KEPT_ENTRIES = 2**27  # entries kept for the gradient, 512 MiB: making them again costs a training step up to a tenth


def wide_dtype(dtype: str) -> str:
    """float32 for the half precisions, where unscaled logits overflow (float16) or lose their digits (bfloat16)."""
    return "float32" if dtype in ("float16", "bfloat16") else dtype


def softmax(logits: Any) -> Any:
    """Softmax over the last axis; over one entry it is 1, tied to the logit by a gradient of zero.

    Keras warns of such a softmax, and where it is left out of weights without a gradient.
    """
    return ops.exp(ops.log_softmax(logits, axis=-1)) if logits.shape[-1] == 1 else ops.softmax(logits, axis=-1)


def positions(x: Any) -> Any:
    """A (batch, height, width, channels) map as (batch, height * width, channels), row by row."""
    _, height, width, channels = ops.shape(x)
    return ops.reshape(x, (-1, height * width, channels))


def query_block(queries: Any, keys: Any) -> int | None:
    """How many queries to take at once; None for all of them (a small map, or sizes not known in advance)."""
    if not isinstance(queries, int) or not isinstance(keys, int) or queries * keys <= MAP_ENTRIES:
        return None
    blocks = -(-queries // max(1, MAP_ENTRIES // keys))
    return -(-queries // blocks)


def for_gradient(function: Callable[..., Any], entries: int, training: bool | None) -> Callable[..., Any]:
    """The function, or in training, for a map too large to keep, one that makes it again for the gradient."""
    return keras.remat(function) if training and entries > KEPT_ENTRIES else function


def attend(
    query: Any,
    key: Any,
    value: Any,
    *,
    scale: float | None = None,
    block: int | None = None,
    return_attention: bool = False,
    training: bool | None = False,
) -> Any:
    """Give every query the values, weighed by a softmax over the keys.

    A = softmax over keys of scale * Q K^T;   y = A V

    A softmax row needs no other row, so a map of more than 2^24 entries is made a block of queries at a time: the same
    numbers in the memory of one block. In training the blocks' maps are kept for the gradient up to 2^27 entries; of a
    larger map they are made again.
    The logits and their softmax are float32 under mixed precision.

    Args:
        query, key, value: (batch, queries, c), (batch, keys, c) and (batch, keys, d).
        scale: Factor of the logits; None for none.
        block: Queries at once; None lets the size of the map decide.
        return_attention: Also return A, which is then made whole.
        training: Whether a gradient will be taken.

    Returns: y, (batch, queries, d), and on request A, (batch, queries, keys), both in value's dtype.
    """
    dtype = keras.backend.standardize_dtype(value.dtype)
    wide = wide_dtype(dtype)
    query, key = ops.cast(query, wide), ops.cast(key, wide)
    # Of the three that could be scaled the keys are the fewest numbers.
    key = ops.transpose(key if scale is None else key * scale, (0, 2, 1))

    def product(query: Any, key: Any, value: Any) -> Any:
        attention = ops.cast(softmax(ops.matmul(query, key)), dtype)
        return ops.matmul(attention, value), attention

    if return_attention:
        return product(query, key, value)
    queries, keys = ops.shape(query)[1], ops.shape(key)[2]
    block = block or query_block(queries, keys)
    # The blocks are unrolled, so their number must be known; a map of unknown size is made whole.
    if block is None or not isinstance(queries, int) or block >= queries:
        return product(query, key, value)[0]

    def output(query: Any, key: Any, value: Any) -> Any:
        return product(query, key, value)[0]

    part = for_gradient(output, queries * keys, training)
    return ops.concatenate([part(query[:, i : i + block], key, value) for i in range(0, queries, block)], axis=1)
