"""Augmentation of a batch of uint8 images in numpy, every image for itself, from a given random generator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from kattn.data.augmentation.rand_augment import rand_augment


@dataclass(frozen=True)
class Augment:
    """What is done to training images, in this order.

    Args:
        crop: Least share of the area that a random crop, scaled back to the whole size, keeps; 0 for no crop. 0.08 is
            what most code for ImageNet does.
        shift: Largest shift as a share of the side, both ways in both directions, black behind: 0.125 is the usual
            padding of 4 and random crop of 32x32 images, and 1 pixel of 8x8.
        flip: Mirror every other image, left to right.
        rand_operations, rand_magnitude: RandAugment: operations an image (0 for none), and their strength, 0 to 10.
        rand_probability: With which each of these operations is done.
        erase: Probability of blanking one rectangle of 2 to 33 % of the image with noise (random erasing).
    """

    crop: float = 0.0
    shift: float = 0.0
    flip: bool = False
    rand_operations: int = 0
    rand_magnitude: float = 0.0
    rand_probability: float = 1.0
    erase: float = 0.0

    @property
    def needs_bytes(self) -> bool:
        """Whether something is done that needs images of bytes."""
        return bool(self.crop or self.rand_operations or self.erase)

    def __call__(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Augmented copies of uint8 images (images, height, width, channels)."""
        if self.crop:
            images = cropped(images, rng, self.crop)
        if self.shift:
            images = shifted(images, rng, round(self.shift * images.shape[1]), round(self.shift * images.shape[2]))
        if self.flip:
            mirrored = rng.random(len(images)) < 0.5
            images = images.copy()
            images[mirrored] = images[mirrored, :, ::-1]
        if self.rand_operations:
            images = rand_augment(images, rng, self.rand_operations, self.rand_magnitude, self.rand_probability)
        if self.erase:
            images = erased(images, rng, self.erase)
        return images


def crop_box(height: int, width: int, rng: np.random.Generator, least: float) -> tuple[int, int, int, int]:
    """A window of `least` to all of the area and 3:4 to 4:3 in shape: top, left, rows, columns.

    A window that does not fit into the image is drawn again, ten times; then it is the largest middle window of an
    allowed shape, as torchvision's RandomResizedCrop.

    Paper: Szegedy et al. Going deeper with convolutions. arXiv:1409.4842
    """
    for _ in range(10):
        area = rng.uniform(least, 1.0) * height * width
        aspect = np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
        rows, columns = round(np.sqrt(area / aspect)), round(np.sqrt(area * aspect))
        if 0 < rows <= height and 0 < columns <= width:
            return int(rng.integers(0, height - rows + 1)), int(rng.integers(0, width - columns + 1)), rows, columns
    rows, columns = min(height, round(width * 4 / 3)), min(width, round(height * 4 / 3))
    return (height - rows) // 2, (width - columns) // 2, rows, columns


def cropped(images: np.ndarray, rng: np.random.Generator, least: float) -> np.ndarray:
    """Of every image a window of its own (see `crop_box`), scaled to the whole size."""
    result = np.empty_like(images)
    _, height, width, channels = images.shape
    for i, image in enumerate(images):
        top, left, rows, columns = crop_box(height, width, rng, least)
        window = np.ascontiguousarray(image[top : top + rows, left : left + columns])
        picture = Image.fromarray(window[..., 0] if channels == 1 else window)
        scaled = picture.resize((width, height), Image.Resampling.BILINEAR)
        result[i] = np.asarray(scaled).reshape(height, width, channels)
    return result


def shifted(images: np.ndarray, rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Every image moved by up to so many whole pixels: padded with black, then cut out at a place of its own."""
    count, height, width, _ = images.shape
    padded = np.pad(images, ((0, 0), (rows, rows), (columns, columns), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(1, 2))
    down = rng.integers(0, 2 * rows + 1, count)
    right = rng.integers(0, 2 * columns + 1, count)
    return np.ascontiguousarray(np.moveaxis(windows[np.arange(count), down, right], 1, -1))


def erased(images: np.ndarray, rng: np.random.Generator, probability: float) -> np.ndarray:
    """One rectangle of noise in some of the images. Paper: Zhong et al. Random erasing. arXiv:1708.04896"""
    images = images.copy()
    _, height, width, channels = images.shape
    for i in np.flatnonzero(rng.random(len(images)) < probability):
        area = rng.uniform(0.02, 0.33) * height * width
        aspect = np.exp(rng.uniform(np.log(0.3), np.log(1 / 0.3)))
        rows = min(height, max(1, round(np.sqrt(area * aspect))))
        columns = min(width, max(1, round(np.sqrt(area / aspect))))
        top, left = rng.integers(0, height - rows + 1), rng.integers(0, width - columns + 1)
        noise = rng.integers(0, 256, (rows, columns, channels), dtype="uint8")
        images[i, top : top + rows, left : left + columns] = noise
    return images


def cut_box(height: int, width: int, rng: np.random.Generator, share: float) -> tuple[int, int, int, int]:
    """CutMix's rectangle of 1 - `share` of the area around any pixel, cut at the borders: top, bottom, left, right.

    As in the authors' code: near a border less is replaced than was drawn, and the targets follow what is left.
    """
    rows, columns = int(height * np.sqrt(1 - share)), int(width * np.sqrt(1 - share))
    row, column = int(rng.integers(height)), int(rng.integers(width))
    top, bottom = np.clip([row - rows // 2, row + rows // 2], 0, height)
    left, right = np.clip([column - columns // 2, column + columns // 2], 0, width)
    return int(top), int(bottom), int(left), int(right)


@dataclass(frozen=True)
class Mix:
    """Images and one-hot targets blended with those of another image of the batch.

    Args:
        mixup: Strength alpha of a blend of whole images, 0 for none (Zhang et al. mixup. arXiv:1710.09412).
        cutmix: Strength alpha of a rectangle from the other image, 0 for none (Yun et al. CutMix. arXiv:1905.04899).
            With both, every batch takes one of them, half and half.
    """

    mixup: float = 0.0
    cutmix: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.mixup or self.cutmix)

    def __call__(
        self, images: np.ndarray, targets: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Blended uint8 images and float targets."""
        cut = bool(self.cutmix) and (not self.mixup or rng.random() < 0.5)
        alpha = self.cutmix if cut else self.mixup
        share = rng.beta(alpha, alpha)
        other = rng.permutation(len(images))
        if cut:
            height, width = images.shape[1:3]
            top, bottom, left, right = cut_box(height, width, rng, share)
            mixed = images.copy()
            window = np.s_[:, top:bottom, left:right]
            mixed[window] = images[other][window]
            share = 1 - (bottom - top) * (right - left) / (height * width)
        else:
            blend = share * images.astype("float32") + (1 - share) * images[other].astype("float32")
            mixed = np.rint(blend).astype("uint8")
        return mixed, (share * targets + (1 - share) * targets[other]).astype("float32")
