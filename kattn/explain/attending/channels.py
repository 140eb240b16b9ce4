"""Channels that attend to channels: C3, DANet's channel attention."""

from __future__ import annotations

from kattn.explain.attending.site import Site


def fits(site: Site) -> bool:
    """(channels, channels), or (blocks, channels, channels) where they attend in blocks."""
    return len(site.shape) in (2, 3) and site.shape[-1] == site.shape[-2]
