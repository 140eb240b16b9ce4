"""pytorchcv names its networks as tf2cv's files do: the same tables must give its numbers."""

import pytest
from support.parity import assert_same_logits, collection, random_state

import kattn
from kattn.zoo.weights.assigning import load_tensors


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("resnet20_cifar10", "resnet20"),
        ("cbam_resnet18", "cbam_resnet18"),
        ("cbam_resnet50", "cbam_resnet50"),
        ("bam_resnet50", "bam_resnet50"),
        ("seresnet18", "se_resnet18"),
    ],
)
def test_logits(theirs, ours):
    collection("pytorchcv")
    from pytorchcv.model_provider import get_model

    network = random_state(get_model(theirs), theirs)
    size = (32, 32) if theirs.endswith("cifar10") else (224, 224)  # their last pooling has a fixed window
    options = {"include_preprocessing": False, "classifier_activation": None}
    model = kattn.zoo.create(ours, input_shape=(*size, 3), **options)
    load_tensors(model, network.state_dict())
    assert_same_logits(model, network, size)
