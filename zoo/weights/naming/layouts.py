"""How a tensor lies: the order of its axes in files of other collections and here, and one tensor for several of ours.

Names of layouts ("linear", "part", ...) are those of the tables in `names/`, which `dialects.py` explains.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

Shape = tuple[int, ...]
PART_LAYOUTS = ("part", "grouped_part")
# Order of torch's axes in ours, by (rank of theirs, rank of ours).
TORCH_AXES: Mapping[tuple[int, int], tuple[Shape, ...]] = {
    (4, 4): ((2, 3, 1, 0), (2, 3, 0, 1)),  # a convolution; a depthwise one
    (2, 4): ((1, 0),),  # a dense layer that is a 1x1 convolution here
    (3, 4): ((2, 1, 0),),  # a one-dimensional convolution
    (2, 2): ((1, 0),),
    (4, 2): ((1, 0, 2, 3),),  # a 1x1 convolution that is a dense layer here
    (1, 1): ((0,),),
}


def _orders(theirs: Shape, ours: Shape, style: str) -> Iterator[tuple[Shape, Shape]]:
    """The possible orders of their axes, and the shape that each gives. Keras's arrays have our order."""
    same: tuple[Shape, ...] = (tuple(range(len(theirs))),)
    for axes in same if style == "keras" else TORCH_AXES.get((len(theirs), len(ours)), ()):
        yield axes, tuple(theirs[axis] for axis in axes)


def axes_to_ours(theirs: Shape, ours: Shape, style: str) -> Shape | None:
    """The order of their axes in our tensor; None where the shapes do not fit."""
    for axes, found in _orders(theirs, ours, style):
        free = style == "keras" or len(theirs) != len(ours)  # axes of length 1 may stand elsewhere, or be none
        if found == ours or (free and [n for n in found if n != 1] == [n for n in ours if n != 1]):
            return axes
    return None


def differs_only_in(axis: int, theirs: Shape, ours: Shape, style: str) -> bool:
    """Whether the shapes fit in all of our axes except this one, counted from the end (-1 is the last)."""
    if len(ours) < -axis:
        return False
    for _, found in _orders(theirs, ours, style):
        fitted = (1,) * (len(ours) - len(found)) + found[: len(ours)]
        others = set(range(-len(ours), 0)) - {axis}
        if all(n == 1 for n in found[len(ours) :]) and all(fitted[one] == ours[one] for one in others):
            return True
    return False


def count_parts(theirs: Shape, ours: Shape, layout: str, style: str) -> int:
    """How many of our tensors one of theirs holds."""
    if layout not in PART_LAYOUTS or style == "keras" or not theirs or theirs[0] % ours[-1]:
        return 1
    return max(1, theirs[0] // ours[-1])


def part(value: np.ndarray, number: int, parts: int, groups: int) -> np.ndarray:
    """One of several tensors that theirs holds, in each group one behind the other."""
    split = value.reshape(groups, parts, -1, *value.shape[1:])
    return split[:, number].reshape(-1, *value.shape[1:])


def joined(parts: Sequence[np.ndarray], groups: int) -> np.ndarray:
    """One tensor that holds several, as `part` takes it apart."""
    split = [one.reshape(groups, 1, -1, *one.shape[1:]) for one in parts]
    return np.concatenate(split, axis=1).reshape(-1, *parts[0].shape[1:])


def to_ours(value: np.ndarray, axes: Shape, shape: Shape, layout: str) -> np.ndarray:
    """Their tensor in our order of axes (see `axes_to_ours`) and our shape."""
    value = value.transpose(axes).reshape(shape)
    return value[:, :, ::-1] if layout == "swap_inputs" else value


def to_theirs(value: np.ndarray, layout: str) -> np.ndarray:
    """Our tensor as torch's collections store it."""
    if value.ndim == 2:
        return value.T
    if value.ndim < 4:
        return value
    if layout == "swap_inputs":
        value = value[:, :, ::-1]
    if layout == "linear":
        return value[0, 0].T
    if layout == "conv1d":
        return value[0].transpose(2, 1, 0)
    return value.transpose(2, 3, 0, 1) if layout == "depthwise" else value.transpose(3, 2, 0, 1)
