"""Which recipe a training takes where nobody says it: by the number of images, and whether there are weights."""

from __future__ import annotations

from kattn.data.dataset import Dataset

AUTO = "auto"
USUAL = "quick"
FEW = 1000  # training images


def choose_recipe(dataset: Dataset, pretrained: bool) -> tuple[str, str]:
    """The recipe for data, and why.

    Args:
        dataset: The data.
        pretrained: The network starts from weights that were trained before.

    Returns: The name of a committed recipe, and the reason in words.
    """
    images = len(dataset.train)
    if pretrained:
        return "finetune", "the network starts from trained weights"
    if images < FEW:
        return "small_data", f"{images} training images are fewer than {FEW}"
    return USUAL, f"random weights and {images} training images"
