"""The picture of `kattn quickstart`: training curves, and test images with what speaks for their class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kattn.explain.class_maps.by_gradient import grad_cam
from kattn.explain.drawing.pictures import new_figure, overlay

IMAGES = 8


def figure_of(trained: Any, test: Any, predicted: np.ndarray) -> Any:
    """A figure with the curves of loss and accuracy above eight test images and their Grad-CAM.

    Args:
        trained: The run.
        test: Its test images and labels.
        predicted: Class numbers, one an image.

    Returns: The matplotlib figure. Images given a wrong class come first, then one of each class.
    """
    wrong_first = sorted(range(len(test.labels)), key=lambda i: (predicted[i] == test.labels[i], i))
    chosen = _one_a_class(wrong_first, test.labels)[:IMAGES]
    images = test.images[chosen].astype("float32")
    figure = new_figure(12, 6.6)
    grid = figure.add_gridspec(3, IMAGES, height_ratios=(1.7, 1, 1))
    epochs = [row["epoch"] for row in trained.history]
    for place, kind in ((slice(0, 4), "loss"), (slice(4, 8), "accuracy")):
        axes = figure.add_subplot(grid[0, place])
        for key in (k for k in trained.history[0] if k.endswith(kind) and "attention" not in k):
            axes.plot(epochs, [row[key] for row in trained.history], label="validation" if "val" in key else "training")
        axes.set(title=kind, xlabel="epoch")
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    for column, (index, image, heat) in enumerate(zip(chosen, images, grad_cam(trained.model, images), strict=True)):
        right = predicted[index] == test.labels[index]
        for line, content in ((1, image.astype("uint8")), (2, overlay(image, heat))):
            axes = figure.add_subplot(grid[line, column])
            axes.imshow(content)
            axes.set_axis_off()
            if line == 1:
                caption = f"{test.labels[index]}" if right else f"{test.labels[index]}, taken for {predicted[index]}"
                axes.set_title(caption, color="black" if right else "tab:red")
    figure.suptitle(f"{trained.model.name} on handwritten digits: held-out accuracy {trained.evaluation.accuracy:.2%}")
    return figure


def _one_a_class(order: Sequence[int], labels: np.ndarray) -> list[int]:
    """The first index of each class, in the given order; then the rest."""
    first = {int(labels[i]): i for i in reversed(order)}
    leading = [i for i in order if first[int(labels[i])] == i]
    return leading + [i for i in order if i not in set(leading)]
