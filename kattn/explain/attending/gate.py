"""Gates: of channels (SE, ECA, CBAM), of positions (CBAM, ABN, GC), of both (BAM, residual attention, GE)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from kattn.explain.attending.site import Query, Site


def fits_channels(site: Site) -> bool:
    """(1, 1, channels) on a map of more than one position, or of a layer that gates nothing else."""
    return site.shape == (1, 1, site.channels)


def fits_map(site: Site) -> bool:
    """(height, width, 1)."""
    return len(site.shape) == 3 and site.shape == (*site.size, 1)


def fits_gate(site: Site) -> bool:
    """(height, width, channels) of what the layer gives."""
    return len(site.shape) == 3 and site.shape == (*site.size, site.channels) and site.shape == site.output


def map_of(values: Any, site: Site, query: Query, earlier: Sequence[Any] = ()) -> Any:
    """The map itself."""
    return values[..., 0]


def mean_gate(values: Any, site: Site, query: Query, earlier: Sequence[Any] = ()) -> Any:
    """The mean over the channels."""
    return ops.mean(values, axis=-1)
