"""Weights of several maps against each other, channel by channel: AFI's earlier maps, SK's and ResNeSt's branches."""

from __future__ import annotations

from kattn.explain.attending.site import Site

MOST_BRANCHES = 8


def fits(site: Site) -> bool:
    """(maps, channels): as many as the layer takes maps, or a few branches of its own, of the channels it gives."""
    if len(site.shape) != 2:
        return False
    maps, channels = site.shape
    if len(site.maps) > 1:
        return maps == len(site.maps) and channels == site.channels
    return len(site.output) == 3 and channels == site.output[-1] and maps is not None and maps <= MOST_BRANCHES
