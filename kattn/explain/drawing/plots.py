"""Figures of statistics: gates by class, selectivity of two models, correlations, curves, confusion."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from kattn.explain.attending.theta import sampling_grid
from kattn.explain.drawing.pictures import new_figure, overlay
from kattn.explain.drawing.text import label
from kattn.explain.statistics.correlations import mean_correlation
from kattn.explain.statistics.drivers import Drivers
from kattn.explain.statistics.faithfulness import Curves
from kattn.explain.statistics.gates import GateStatistics

LAYERS = 6  # drawn where the caller names none


def gate_figure(statistics: GateStatistics, *, layers: Sequence[str] | None = None, classes: int = 5) -> Any:
    """The SE paper's recalibration figure: the mean gate of each channel, a line a class and a dark one for all.

    Args:
        statistics: As `gate_statistics` gives it. Weights of several maps (AFI, SK) are shown one map behind the other.
        layers: Which; None: up to six, spread over the network.
        classes: How many classes to draw: those with the most images.

    Returns: A matplotlib figure; `save_figure` writes it.
    """
    names = _spread(list(statistics.means)) if layers is None else list(layers)
    chosen = np.argsort(-statistics.counts, kind="stable")[:classes]
    figure, panels = _panels(names, columns=3, width=3.4, height=2.3, margin=0.4)
    for i, (name, axes) in enumerate(panels):
        for k in chosen:
            values = statistics.means[name][k].reshape(-1)
            axes.plot(values, linewidth=0.8, label=label(statistics.class_names[k]) if i == 0 else None)
        overall = statistics.overall(name).reshape(-1)
        axes.plot(overall, color="black", linewidth=1.2, label="all" if i == 0 else None)
        maps = statistics.means[name].shape[1] if statistics.means[name].ndim == 3 else 1
        for edge in range(1, maps):
            axes.axvline(edge * len(overall) / maps - 0.5, color="0.8", linewidth=0.8)
        axes.set_xlabel("channel" if maps == 1 else f"channel, {maps} maps", fontsize=7)
    figure.legend(loc="outside lower center", ncols=min(6, len(chosen) + 1), fontsize=7, frameon=False)
    return figure


def selectivity_figure(models: Mapping[str, Mapping[str, np.ndarray]], *, layers: Sequence[str] | None = None) -> Any:
    """Histograms of the class selectivity index, models side by side; each one's mean stands in the legend.

    Args:
        models: By the model's name, what `class_selectivity` gives.
        layers: Which; None: up to six that all models have, or, where they share none, all channels together.

    Returns: A matplotlib figure; `save_figure` writes it.
    """
    shared = [name for name in next(iter(models.values())) if all(name in found for found in models.values())]
    names = _spread(shared) if layers is None else list(layers)
    found = {name: {model: layers[name] for model, layers in models.items()} for name in names} or {
        "all layers": {model: np.concatenate(list(layers.values())) for model, layers in models.items()}
    }
    figure, panels = _panels(found, columns=3, width=3.2, height=2.3)
    for name, axes in panels:
        for model, index in found[name].items():
            title = f"{label(model)} ({index.mean():.3f})"
            axes.hist(index, bins=25, range=(0, 1), alpha=0.55, density=True, label=title)
        axes.set_xlabel("class selectivity index", fontsize=7)
        axes.legend(fontsize=6, frameon=False)
    return figure


def correlation_figure(stages: Mapping[str, np.ndarray]) -> Any:
    """Channel correlations as matrices, one a layer or a stage of training, with the mean of |correlation|.

    Returns: A matplotlib figure; `save_figure` writes it.
    """
    columns = min(4, len(stages))
    rows = -(-len(stages) // columns)
    figure = new_figure(2.4 * columns + 0.4, 2.5 * rows)
    for i, (name, matrix) in enumerate(stages.items()):
        axes = figure.add_subplot(rows, columns, i + 1)
        title = f"{label(name)}\nmean {mean_correlation(matrix):.3f}"
        drawn = _image(axes, np.abs(matrix), vmin=0, vmax=1, cmap="viridis")
        axes.set_title(title, fontsize=7)
    figure.colorbar(drawn, ax=figure.axes, label="|correlation|", shrink=0.8)
    return figure


def channels_figure(drivers: Drivers, class_names: Sequence[str] | None = None) -> Any:
    """The images that drive the most active channels, a row a channel, with the channel's map over each.

    Returns: A matplotlib figure; `save_figure` writes it.
    """
    count, images = drivers.indices.shape
    figure = new_figure(1.3 * images + 0.8, 1.45 * count + 0.3)
    for row, column in np.ndindex(count, images):
        image = drivers.images[row, column]
        top = max(float(drivers.maps[row].max()), 1e-12)
        heat = _resized(drivers.maps[row, column] / top, image.shape[:2])
        axes = figure.add_subplot(count, images, row * images + column + 1)
        _image(axes, overlay(image, np.clip(heat, 0, 1), strength=0.45))
        number = int(drivers.labels[row, column])
        axes.set_xlabel(label(class_names[number] if class_names else number), fontsize=6, labelpad=1)
        if column == 0:
            axes.set_ylabel(f"channel {drivers.channels[row]}\n{drivers.activity[row]:.3g}", fontsize=6)
    figure.suptitle(label(drivers.layer), fontsize=8)
    return figure


def weights_figure(weights: Any, *, title: str = "", sources: Sequence[str] | None = None) -> Any:
    """Weights of several maps against each other (AFI's earlier maps, SK's branches), a row a map, a column a channel.

    Args:
        weights: (maps, channels), or (images, maps, channels), which are averaged.
        title: Above it.
        sources: A name for each map.

    Returns: A matplotlib figure; `save_figure` writes it.
    Raises: ValueError for weights of another shape.
    """
    weights = np.asarray(weights)
    weights = weights.mean(axis=0) if weights.ndim == 3 else weights
    if weights.ndim != 2:
        raise ValueError(f"weights must be (maps, channels) or (images, maps, channels). Received: {weights.shape}")
    figure = new_figure(6, 0.35 * len(weights) + 1.1)
    axes = figure.add_subplot()
    drawn = axes.imshow(weights, aspect="auto", vmin=0, vmax=max(1e-12, float(weights.max())), cmap="viridis")
    means = [f"(mean {value:.2f})" for value in weights.mean(axis=1)]
    names = sources or [f"map {i + 1}" for i in range(len(weights))]
    axes.set_yticks(range(len(weights)), [f"{label(name)} {mean}" for name, mean in zip(names, means, strict=True)])
    axes.tick_params(labelsize=7)
    axes.set_xlabel("channel", fontsize=7)
    axes.set_title(label(title), fontsize=8)
    figure.colorbar(drawn)
    return figure


def grid_figure(images: Any, theta: Any, *, lines: int = 9) -> Any:
    """Where a spatial transformer reads each image: its output's grid drawn on the input.

    Args:
        images: (images, height, width, 1 or 3), pixels 0-255.
        theta, lines: As `sampling_grid` takes them.

    Returns: A matplotlib figure; `save_figure` writes it.
    """
    images = np.asarray(images)
    points = sampling_grid(theta, lines)
    figure = new_figure(1.8 * len(images), 1.9)
    for i, (image, grid) in enumerate(zip(images, points, strict=True)):
        axes = figure.add_subplot(1, len(images), i + 1)
        _image(axes, np.broadcast_to(image, (*image.shape[:2], 3)).astype("uint8"), extent=(0, 1, 1, 0))
        for line in (*grid, *grid.swapaxes(0, 1)):
            axes.plot(line[:, 0], line[:, 1], color="#fde725", linewidth=0.7)
        axes.set_xlim(min(0, grid[..., 0].min()), max(1, grid[..., 0].max()))
        axes.set_ylim(max(1, grid[..., 1].max()), min(0, grid[..., 1].min()))
    return figure


def faithfulness_figure(methods: Mapping[str, Curves]) -> Any:
    """Deletion and insertion curves, the mean over the images, a line a method with its mean area.

    Returns: A matplotlib figure; `save_figure` writes it.
    """
    figure, panels = _panels(("deletion", "insertion"), columns=2, width=3.5, height=2.7)
    for kind, axes in panels:
        for name, curves in methods.items():
            area = float(getattr(curves, f"{kind}_area").mean())
            axes.plot(curves.shares, getattr(curves, kind).mean(axis=0), label=f"{label(name)} ({area:.3f})")
        axes.set_xlabel("share of pixels", fontsize=7)
        axes.set_ylabel("score of the class", fontsize=7)
        axes.legend(fontsize=6, frameon=False)
    return figure


def history_figure(history: Sequence[Mapping[str, float]]) -> Any:
    """Loss and accuracy by epoch."""
    figure, panels = _panels(("loss", "accuracy"), columns=2, width=4, height=2.7)
    epochs = [row["epoch"] for row in history]
    for kind, axes in panels:
        for key in (k for k in history[0] if k.endswith(kind) and "attention" not in k):
            axes.plot(epochs, [row[key] for row in history], label="validation" if "val" in key else "training")
        axes.set_xlabel("epoch", fontsize=7)
        axes.legend(fontsize=7, frameon=False)
    return figure


def confusion_figure(confusion: Any, class_names: Sequence[str]) -> Any:
    """Which classes were predicted for the images of each class, as shares of the class."""
    counts = np.asarray(confusion, float)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = max(3.2, min(9, 0.38 * len(counts) + 1.4))
    figure = new_figure(side + 0.8, side)
    axes = figure.add_subplot()
    drawn = axes.imshow(shares, vmin=0, vmax=1, cmap="viridis")
    if len(counts) <= 30:
        names = [label(name) for name in class_names]
        axes.set_xticks(range(len(counts)), names, rotation=60, ha="right")
        axes.set_yticks(range(len(counts)), names)
    if len(counts) <= 12:
        for i, j in np.ndindex(*counts.shape):
            if counts[i, j]:
                colour = "black" if shares[i, j] > 0.6 else "white"
                axes.text(j, i, f"{counts[i, j]:.0f}", ha="center", va="center", fontsize=6, color=colour)
    axes.tick_params(labelsize=7)
    axes.set_xlabel("predicted class", fontsize=7)
    axes.set_ylabel("class", fontsize=7)
    figure.colorbar(drawn, label="share of the class", shrink=0.8)
    return figure


def _panels(
    names: Iterable[str], *, columns: int, width: float, height: float, margin: float = 0.0
) -> tuple[Any, Iterator[tuple[str, Any]]]:
    """A figure of small plots, one a name, and these with their axes. Sizes in inches; `margin` is left below."""
    names = list(names)
    columns = min(columns, len(names))
    rows = -(-len(names) // columns)
    figure = new_figure(width * columns, height * rows + margin)

    def panels() -> Iterator[tuple[str, Any]]:
        for i, name in enumerate(names):
            axes = figure.add_subplot(rows, columns, i + 1)
            axes.set_title(label(name), fontsize=8)
            axes.spines[["top", "right"]].set_visible(False)
            yield name, axes

    return figure, panels()


def _spread(names: list[str]) -> list[str]:
    """Up to six of the names, from the first to the last."""
    return [names[i] for i in np.linspace(0, len(names) - 1, min(LAYERS, len(names))).round().astype(int)]


def _image(axes: Any, image: Any, **options: Any) -> Any:
    """An image without scales."""
    axes.set_xticks([])
    axes.set_yticks([])
    return axes.imshow(image, **options)


def _resized(heat: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.fromarray(heat.astype("float32")).resize(size[::-1], Image.Resampling.BILINEAR))
