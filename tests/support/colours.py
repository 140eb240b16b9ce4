"""Images that a small network tells apart by their colour."""

import numpy as np
from PIL import Image

SIZE = 12
COLOURS = (190, 90, 90), (90, 190, 90), (90, 90, 190)


def coloured(count, seed=0, *, colours=COLOURS, noise=50, size=SIZE):
    """Noisy images of bytes, one colour a class, and their classes."""
    random = np.random.default_rng(seed)
    classes = np.arange(count) % len(colours)
    images = np.array(colours)[classes][:, None, None] + random.normal(0, noise, (count, size, size, 3))
    return np.clip(images, 0, 255).astype("uint8"), classes


def coloured_folder(folder, count):
    """Such images as files in class folders c0, c1 ...; returns the folder."""
    for i, (image, one) in enumerate(zip(*coloured(count, seed=2), strict=True)):
        (folder / f"c{one}").mkdir(exist_ok=True)
        Image.fromarray(image).save(folder / f"c{one}" / f"{i:02}.png")
    return folder
