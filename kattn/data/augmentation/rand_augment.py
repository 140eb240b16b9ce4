"""RandAugment: a few random operations of one strength on every image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

STRONGEST = 10.0  # the magnitude of the strongest form, in the paper's code and in timm
SHEAR, TURN, ENHANCE = 0.3, 30.0, 0.9  # tangent, degrees, and change of a factor around 1, at the strongest
SHIFT = 0.45  # share of the side at the strongest

Operation = Callable[[Image.Image, float, float], Image.Image]


def _affine(image: Image.Image, rows: tuple[float, float, float, float, float, float]) -> Image.Image:
    return image.transform(image.size, Image.Transform.AFFINE, rows, resample=Image.Resampling.BILINEAR)


def _enhance(kind: Callable[[Image.Image], ImageEnhance._Enhance]) -> Operation:
    return lambda image, share, sign: kind(image).enhance(1.0 + sign * ENHANCE * share)


# Each takes the image, the strength as a share of the strongest, and a sign.
OPERATIONS: dict[str, Operation] = {
    "identity": lambda image, share, sign: image,
    "auto contrast": lambda image, share, sign: ImageOps.autocontrast(image),
    "equalize": lambda image, share, sign: ImageOps.equalize(image),
    "rotate": lambda image, share, sign: image.rotate(sign * TURN * share, resample=Image.Resampling.BILINEAR),
    "solarize": lambda image, share, sign: ImageOps.solarize(image, round(256 * (1 - share))),
    "posterize": lambda image, share, sign: ImageOps.posterize(image, 8 - round(4 * share)),
    "colour": _enhance(ImageEnhance.Color),
    "contrast": _enhance(ImageEnhance.Contrast),
    "brightness": _enhance(ImageEnhance.Brightness),
    "sharpness": _enhance(ImageEnhance.Sharpness),
    "shear x": lambda image, share, sign: _affine(image, (1, sign * SHEAR * share, 0, 0, 1, 0)),
    "shear y": lambda image, share, sign: _affine(image, (1, 0, 0, sign * SHEAR * share, 1, 0)),
    "translate x": lambda image, share, sign: _affine(image, (1, 0, sign * SHIFT * share * image.width, 0, 1, 0)),
    "translate y": lambda image, share, sign: _affine(image, (1, 0, 0, 0, 1, sign * SHIFT * share * image.height)),
}


def rand_augment(
    images: np.ndarray, rng: np.random.Generator, operations: int, magnitude: float, probability: float = 1.0
) -> np.ndarray:
    """Every image changed by so many operations drawn with replacement, each with a random sign.

    Args:
        images: uint8, (images, height, width, channels), 1 or 3 channels.
        rng: What the draws come from.
        operations: How many an image (the paper's N).
        magnitude: Strength of all of them (the paper's M), 0 to 10: 10 is the strongest form of each, as in the paper's
            code and in timm. What timm writes as "rand-m6" is 6.
        probability: With which each drawn operation is done: 1 in the paper, 0.5 in timm.

    Returns: Changed copies. What moves in from outside is black.
    Raises: ValueError for images of other than 1 or 3 channels.
    Paper: Cubuk, Zoph, Shlens, Le. RandAugment: Practical automated data augmentation with a reduced search space.
        arXiv:1909.13719
    """
    if images.shape[-1] not in (1, 3):
        raise ValueError(
            f"RandAugment knows grey and RGB images. Received: {images.shape[-1]} channels; use rand_operations=0."
        )
    names = list(OPERATIONS)
    drawn = rng.integers(0, len(names), (len(images), operations))
    signs = rng.choice((-1.0, 1.0), (len(images), operations))
    done = rng.random((len(images), operations)) < probability
    changed = np.empty_like(images)
    for i, pixels in enumerate(images):
        image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
        for number, sign in zip(drawn[i][done[i]], signs[i][done[i]], strict=True):
            image = OPERATIONS[names[number]](image, magnitude / STRONGEST, float(sign))
        changed[i] = np.asarray(image).reshape(pixels.shape)
    return changed
