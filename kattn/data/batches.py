"""Batches for `fit` and `evaluate` on every Keras backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from kattn.data.augmentation.augment import Augment, Mix
from kattn.data.dataset import Split


class Batches(keras.utils.PyDataset):
    """The batches of a split, each a pure function of (seed, epoch, its number in the epoch).

    That is what makes a resumed run equal an uninterrupted one. It asks two things of the caller: `fit(shuffle=False)`
    (otherwise Keras shuffles the batches with Python's global generator) and setting `epoch` as an epoch begins.

    Args:
        split: Images and labels.
        batch_size: Images a batch.
        targets: Maps a batch of labels to what the model is trained on (`kattn.targets_for(model)`).
        training: Shuffle anew every epoch, augment, and leave out the images that do not fill the last batch, other
            ones every epoch (a small batch spoils the batch statistics). Otherwise every image once, in order.
        augment: What is done to the images when training.
        classes: Give one-hot rows over so many classes instead of class numbers; needed by the next two.
        smoothing: Share of the target spread evenly over all classes (label smoothing), when training.
        mix: Blending of images and targets, when training.
        binary: Give a column of 0 and 1 in place of class numbers, for a model of one unit.
        weights: Of each class: batches then hold what every image (or pixel) counts in the loss. None: all the same.
        seed: Seed of order and augmentation.
        part: (rank, ranks): give this process's share of every batch; augmented as a whole, so that the shares together
            are what one process would see.
        as_input: Makes what the model takes of the images, after augmentation; None leaves them.
        devices: Every batch is a multiple of so many images. Where the last ones of a split do not make one (not when
            training), they are left out.
    """

    def __init__(
        self,
        split: Split,
        batch_size: int,
        targets: Callable[[Any], Any] = lambda labels: labels,
        *,
        training: bool = False,
        augment: Augment | None = None,
        classes: int | None = None,
        smoothing: float = 0.0,
        mix: Mix | None = None,
        binary: bool = False,
        weights: np.ndarray | None = None,
        seed: int = 0,
        part: tuple[int, int] = (0, 1),
        devices: int = 1,
        as_input: Callable[[np.ndarray], np.ndarray] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not len(split):
            raise ValueError("A split without images has no batches.")
        if len(split) < devices:
            raise ValueError(f"{len(split)} images cannot be shared by {devices} devices.")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1. Received: batch_size={batch_size}")
        if split.images.dtype != np.uint8 and training and (mix or (augment and augment.needs_bytes)):
            raise ValueError(
                "Crops, RandAugment, random erasing and mixing work on images of bytes. Received: images of "
                f"{split.images.dtype}. Choose a recipe without them (shifts and flips are fine), or give bytes."
            )
        if classes is None and not binary and (smoothing or mix) and split.labels.ndim == 1:
            raise ValueError("Label smoothing and mixing need one-hot targets: pass classes.")
        self.split = split
        self.batch_size = min(batch_size, len(split) // devices * devices) if training else batch_size
        self.targets = targets
        self.training = training
        self.augment = augment
        self.classes = classes
        self.smoothing = smoothing
        self.mix = mix
        self.binary = binary
        self.weights = weights
        self.seed = seed
        self.part = part
        self.devices = devices
        self.as_input = as_input
        self.epoch = 0
        self._order: tuple[int, np.ndarray] = (-1, np.arange(len(split) // devices * devices))

    @property
    def num_batches(self) -> int:
        """Batches an epoch."""
        whole, rest = divmod(len(self.split) // self.devices * self.devices, self.batch_size)
        return whole if self.training or not rest else whole + 1

    def __len__(self) -> int:
        return self.num_batches

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        """Batch `index` of the epoch: images, uint8 where nothing is done to them, targets, and weights if any."""
        part = self.split.take(self.order()[index * self.batch_size : (index + 1) * self.batch_size])
        images, labels = np.asarray(part.images), part.labels
        counts = None if self.weights is None else self.weights[labels]
        sides = self.binary or labels.ndim == 2  # answers of yes or no, not classes
        if self.binary:
            labels = labels[:, None]
        if sides:
            labels = labels.astype("float32")
        elif self.classes is not None:
            labels = np.eye(self.classes, dtype="float32")[labels]
        if self.training:
            rng = np.random.default_rng([self.seed, self.epoch, index])
            if self.augment:
                images = self.augment(images, rng)
            if self.smoothing:  # over the classes; an attribute has two sides
                shares = 2 if sides else labels.shape[-1]
                labels = (1 - self.smoothing) * labels + np.float32(self.smoothing / shares)
            if self.mix:  # what an image counts is mixed as its target is
                both = labels if counts is None else np.concatenate([labels, counts[:, None]], axis=1)
                images, both = self.mix(images, both, rng)
                labels, counts = (both, None) if counts is None else (both[:, :-1], both[:, -1])
        rank, ranks = self.part
        share = len(images) // ranks
        mine = slice(rank * share, (rank + 1) * share) if ranks > 1 else slice(None)
        images = images[mine] if self.as_input is None else self.as_input(images[mine])
        targets = self.targets(labels[mine])
        return (images, targets) if counts is None else (images, targets, self.targets(counts[mine]))

    def order(self) -> np.ndarray:
        """The epoch's order of the images."""
        epoch, order = self._order
        if self.training and epoch != self.epoch:
            epoch, order = self.epoch, np.random.default_rng([self.seed, self.epoch]).permutation(len(self.split))
            self._order = (epoch, order)
        return order
