"""Contact sheets: images, predictions, and several methods and models side by side."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kattn.data.arrays import show_as_rgb
from kattn.explain.drawing.pictures import new_figure, overlay
from kattn.explain.drawing.text import label

LETTERS = 14  # of a title or caption on an inch


def contact_sheet(
    images: Any,
    columns: Mapping[str, Any],
    *,
    captions: Sequence[str] | None = None,
    column_captions: Mapping[str, Sequence[str]] | None = None,
    title: str | None = None,
    strength: float = 0.55,
    colours: str = "viridis",
    cell: float = 1.5,
) -> Any:
    """A figure with one row an image: the image, then a column for each method or model, with a scale of its colours.

    Args:
        images: (images, height, width, 1, 3 or 4), pixels 0-255.
        columns: By title, maps (images, height, width), each drawn over its image. A column's colours run from 0 to its
            highest value; they run from its lowest value where that is below 0, or far above 0. The bar below the
            column gives both values.
        captions: A line under each image, such as its class and the prediction.
        column_captions: By title, a line under each of a column's maps, such as that model's prediction.
        title: Above all.
        strength, colours: As in `overlay`.
        cell: Side of a picture in inches.

    Returns: A matplotlib figure, for `save_figure` or `figure.savefig`.
    Raises: ValueError for no images, or a column of another number or size of maps, or another number of captions.
    """
    images = np.asarray(images)
    if images.ndim != 4 or not len(images):
        raise ValueError(f"images must be (images, height, width, channels). Received: shape {images.shape}")
    arrays = {name: np.asarray(maps) for name, maps in columns.items()}
    for name, maps in arrays.items():
        if maps.shape != images.shape[:3]:
            raise ValueError(f"column {name!r} must be maps of shape {images.shape[:3]}. Received: {maps.shape}")
    below = {"": captions, **(column_captions or {})}
    for name, lines in below.items():
        if lines is not None and len(lines) != len(images):
            raise ValueError(f"{len(lines)} captions {name!r} for {len(images)} images.")
    figure = new_figure(cell * (1 + len(arrays)) + 0.2, (cell + 0.3) * len(images) + 0.9)
    grid = figure.add_gridspec(len(images) + 1, 1 + len(arrays), height_ratios=[cell] * len(images) + [0.12])
    for row, image in enumerate(images):
        _picture(figure.add_subplot(grid[row, 0]), _as_rgb(image), "image" if row == 0 else None, below[""], row, cell)
    for column, (name, maps) in enumerate(arrays.items(), start=1):
        limits = _limits(maps)
        for row, image in enumerate(images):
            drawn = overlay(_as_rgb(image), maps[row], strength=strength, colours=colours, limits=limits)
            axes = figure.add_subplot(grid[row, column])
            _picture(axes, drawn, name if row == 0 else None, below.get(name), row, cell)
        _scale(figure, figure.add_subplot(grid[len(images), column]), colours, limits)
    if title:
        figure.suptitle(label(title))
    return figure


def _as_rgb(image: np.ndarray) -> np.ndarray:
    return show_as_rgb(np.clip(np.rint(image), 0, 255).astype("uint8"))


def _limits(maps: np.ndarray) -> tuple[float, float]:
    low, high = float(maps.min()), float(maps.max())
    low = 0.0 if low >= 0 and (high - low > 0.5 * high or high == 0) else low
    return (low, high) if high > low else (low, low + 1.0)


def _picture(
    axes: Any, image: np.ndarray, title: str | None, captions: Sequence[str] | None, row: int, inches: float
) -> None:
    """One cell: a picture, with a title above it and its row's caption below it where there are some."""
    axes.imshow(image, interpolation="nearest" if image.shape[0] <= 64 else "antialiased")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    if title:
        axes.set_title(_wrapped(title, inches), fontsize=8)
    if captions is not None and captions[row]:
        axes.set_xlabel(_wrapped(captions[row], inches), fontsize=7, labelpad=2)


def _wrapped(text: str, inches: float) -> str:
    """Text for matplotlib in lines of this width: neighbours do not overlap."""
    width = max(1, int(LETTERS * inches))
    return label("\n".join(part for line in text.splitlines() for part in textwrap.wrap(line, width) or [""]))


def _scale(figure: Any, axes: Any, colours: str, limits: tuple[float, float]) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    bar = figure.colorbar(ScalarMappable(Normalize(*limits), colours), cax=axes, orientation="horizontal")
    bar.set_ticks(list(limits), labels=[f"{value:.2g}" for value in limits])
    bar.ax.tick_params(labelsize=6, length=2, pad=1)
    bar.outline.set_visible(False)
