"""keras.applications' networks with random weights, converted, give their numbers."""

import keras
import numpy as np
import pytest
from support.models import randomise

import kattn
from kattn.zoo.weights.assigning import load_tensors
from kattn.zoo.weights.manifest import find

SIZES = ((96, 128), (97, 65))
ROWS = {
    "ResNet50": "resnet50_v1",
    "ResNet101": "resnet101_v1",
    "ResNet152": "resnet152_v1",
    "DenseNet121": "densenet121",
    "MobileNetV2": "mobilenet_v2",
}


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("size", SIZES)
def test_logits(name, size):
    entry = find(ROWS[name], "imagenet.keras")
    options = {"weights": None, "input_shape": (*size, 3), "classifier_activation": None}
    theirs = getattr(keras.applications, name)(**options)
    randomise(theirs)
    for weight in theirs.weights:  # a depthwise filter sees nine numbers, whatever its kernel's shape says
        if "depthwise" in weight.path and len(weight.shape) == 4:
            weight.assign(np.random.default_rng(1).standard_normal(weight.shape).astype("float32") / 3)
    ours = kattn.zoo.create(entry.model, include_preprocessing=False, **options, **entry.options)
    load_tensors(ours, theirs, dialect=entry.dialect)
    turned = -1 if name.startswith("ResNet") else 1  # published for BGR
    x = np.random.default_rng(0).standard_normal((4, *size, 3)).astype("float32")
    want = keras.ops.convert_to_numpy(theirs(np.ascontiguousarray(x[..., ::turned]), training=False))
    got = keras.ops.convert_to_numpy(ours(x, training=False))
    assert want.std(0).mean() > 1e-4 * np.abs(want).max()  # the image matters
    assert np.abs(got - want).max() <= 1e-4 * np.abs(want).max()
