"""What pages say that their reader has, small: photos, CIFAR-10, runs."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from support.colours import coloured
from support.tfds_files import prepare

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SMALL = {"depths": (1, 1, 1), "widths": (8, 8, 16)}


def photos(count: int = 24) -> None:
    """photos/cat/00.jpg, photos/dog/01.jpg and so on, noisy pictures of two colours."""
    images, labels = coloured(count, colours=((180, 90, 60), (60, 90, 180)), noise=60, size=48)
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        file = Path("photos", ("cat", "dog")[label], f"{number:02}.jpg")
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file)


def labelled(count: int, size: int, classes: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Noisy images of as many colours as there are classes, and the class numbers."""
    palette = np.random.default_rng(1).integers(20, 236, (classes, 3))
    return coloured(count, colours=palette, noise=20, size=size)


def cifar10() -> None:
    """A prepared data set of this name, of few images."""
    parts = {"train": labelled(100, 32), "test": labelled(40, 32)}
    prepare(Path(os.environ["TFDS_DATA_DIR"]), "cifar10", "3.0.2", class_names=CIFAR10, **parts)


def small_run(name: str, out: str) -> Any:
    """A finished run of the smallest network of a name."""
    import kattn

    return kattn.train(name, out=out, options=SMALL, limit=60, overrides={"epochs": 1}, verbose=False)


def saved_weights() -> None:
    """Weights of a run, and those of a public network as torch lays them out."""
    from safetensors.numpy import save_file

    import kattn

    Path("runs").mkdir()
    model = kattn.zoo.create("resnet20", classes=10)
    kattn.zoo.save_weights(model, "runs/mine.weights.h5")
    save_file(kattn.zoo.to_state_dict(model, "authors"), "published.safetensors")
