"""Maps drawn on their images."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from kattn.explain.drawing.read import Picture
from kattn.files import make_folder, write_bytes

UNIFORM = ("viridis", "plasma", "inferno", "magma", "cividis")
FORMATS = (".png", ".svg", ".pdf")


def overlay(
    image: Any,
    heat: Any,
    *,
    strength: float = 0.5,
    colours: str = "viridis",
    limits: tuple[float, float] = (0.0, 1.0),
) -> np.ndarray:
    """An image with a map over it.

    Args:
        image: (height, width, 1 or 3), 0-255.
        heat: (height, width).
        strength: Share of the map in the result, 0-1.
        colours: A perceptually uniform colour map of matplotlib's: viridis, plasma, inferno, magma or cividis.
        limits: The values of the lowest and the highest colour; values beyond them get these colours.

    Returns: uint8 (height, width, 3).
    Raises: ValueError for sizes that differ, a strength out of range, limits that are none, or another colour map.
    """
    image, heat = np.asarray(image, "float32"), np.asarray(heat, "float32")
    if image.ndim != 3 or image.shape[:2] != heat.shape or image.shape[2] not in (1, 3):
        raise ValueError(
            f"image (height, width, 1 or 3) and map (height, width) must have one size. "
            f"Received: image {image.shape}, map {heat.shape}"
        )
    if not 0 <= strength <= 1:
        raise ValueError(f"strength must be in 0-1. Received: strength={strength}")
    mixed = (1 - strength) * np.broadcast_to(image, (*heat.shape, 3)) + strength * coloured(heat, colours, limits)
    return np.clip(np.rint(mixed), 0, 255).astype("uint8")


def overlay_original(picture: Picture, heat: Any, **options: Any) -> np.ndarray:
    """A map over all the pixels of the file, at their full size; parts that the model did not see stay as they are.

    Args:
        picture: As `read_images` gives it.
        heat: (height, width), the map of what the model saw.
        options: Of `overlay`.

    Returns: uint8 (height, width, 3) of the original's size.
    """
    from PIL import Image

    top, left, bottom, right = (round(edge) for edge in picture.box)
    size = (max(1, right - left), max(1, bottom - top))
    enlarged = Image.fromarray(np.asarray(heat, "float32")).resize(size, Image.Resampling.BILINEAR)
    drawn = picture.original.copy()
    part = drawn[top : top + size[1], left : left + size[0]]
    drawn[top : top + size[1], left : left + size[0]] = overlay(part, np.asarray(enlarged), **options)
    return drawn


def coloured(heat: Any, colours: str = "viridis", limits: tuple[float, float] = (0.0, 1.0)) -> np.ndarray:
    """A map as colours, float32 (..., 3) in 0-255."""
    import matplotlib

    if colours not in UNIFORM:
        raise ValueError(f"colours must be one of {', '.join(UNIFORM)}. Received: colours={colours!r}")
    low, high = limits
    if not low < high:
        raise ValueError(f"limits must be a lower and a higher value. Received: limits={limits}")
    share = (np.asarray(heat, "float32") - low) / (high - low)
    return 255 * np.asarray(matplotlib.colormaps[colours](np.clip(share, 0, 1)), "float32")[..., :3]


def new_figure(width: float, height: float) -> Any:
    """A matplotlib figure (inches) that belongs to no window and no global state."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save_figure(figure: Any, path: str | Path, *, dpi: int = 110) -> Path:
    """Write a figure as .png, .svg or .pdf, without a date; the same figure gives the same file.

    Returns: The path.
    Raises: ValueError for another ending, OSError where the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"pictures are written as {', '.join(FORMATS)}. Received: {path.name}")
    make_folder(path.parent)
    write_bytes(path, encoded(figure, path.suffix.lower().removeprefix("."), dpi=dpi))
    return path


def encoded(figure: Any, form: str, *, dpi: int = 110) -> bytes:
    """A figure as a file of this format (png, svg or pdf)."""
    import matplotlib

    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(form, {"Software": None})
    content = io.BytesIO()
    with warnings.catch_warnings(), matplotlib.rc_context({"svg.hashsalt": "kattn", "svg.fonttype": "none"}):
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # of a script that the font does not have: boxes
        figure.savefig(content, format=form, dpi=dpi, metadata=undated)
    return content.getvalue()
