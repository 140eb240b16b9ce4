"""What the attention that a layer returns means: the table of kinds, which shapes tell apart.

Each kind is one file: whether an attention is of that kind, and how it becomes a map. A layer whose shapes could mean
two things names its kind by an attribute `attention_kind`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kattn.explain.attending import affinity, channels, cross, gate, theta, weights
from kattn.explain.attending.site import Query, Site

ToMap = Callable[[Any, Site, Query, Sequence[Any]], Any]


@dataclass(frozen=True)
class Kind:
    """One row of the table.

    Attributes:
        name: In results.
        what: What the values are, for captions and errors.
        fits: Whether the attention at a site is of this kind.
        to_map: (values, site, query, values of the same call's earlier attentions) to (batch, height, width), in
            `keras.ops`; None for what has no positions.
    """

    name: str
    what: str
    fits: Callable[[Site], bool]
    to_map: ToMap | None = None


KINDS = {
    kind.name: kind
    for kind in (
        Kind("channel_gate", "a gate for each channel", gate.fits_channels),
        Kind("map", "one weight for each position", gate.fits_map, gate.map_of),
        Kind("gate", "a gate for each position and channel", gate.fits_gate, gate.mean_gate),
        Kind("cross", "each position's weights over its column and row", cross.fits, cross.to_map),
        Kind("weights", "weights for each map and channel", weights.fits),
        Kind("affinity", "each position's weights over positions", affinity.fits, affinity.to_map),
        Kind("channels", "each channel's weights over channels", channels.fits),
        Kind("theta", "an affine transform of the map", theta.fits, theta.to_map),
        Kind("values", "values of the layer's own", lambda site: True),
    )
}


def kind_of(site: Site) -> Kind:
    """The first kind that fits, or the one the layer names: one for all its attentions, or one for each."""
    declared = getattr(site.layer, "attention_kind", None)
    if declared is not None and site.number < len(site.shapes):
        return KINDS[declared if isinstance(declared, str) else declared[site.number]]
    fitting = (kind for kind in KINDS.values() if kind.fits(site))
    return next(fitting) if site.maps else KINDS["values"]
