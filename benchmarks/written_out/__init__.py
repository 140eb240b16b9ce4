"""Every block as one would write it down from its paper, in Keras layers and `keras.ops`: what ours is timed against.

`WRITTEN_OUT[name]` maps a symbolic input (a list where the block takes several) and the options of the block's
benchmark to its output. The numbers are those of `kattn.layers.get(name, **options)` for the same weights, which
`benchmarks/blocks.py` checks before it times anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from written_out import channels, gates, generation, mixing, restoration, segmentation, spatial

WRITTEN_OUT: dict[str, Callable[..., Any]] = {
    **channels.BLOCKS,
    **gates.BLOCKS,
    **mixing.BLOCKS,
    **spatial.BLOCKS,
    **generation.BLOCKS,
    **segmentation.BLOCKS,
    **restoration.BLOCKS,
}
