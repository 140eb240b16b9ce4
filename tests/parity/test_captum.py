"""Grad-CAM of a network and of its twin in torch, by torch's own library for explanations."""

import keras
import numpy as np
import pytest
from support.parity import collection, random_state

import kattn
from kattn.zoo.weights.assigning import load_tensors


def test_grad_cam_equals_captums_on_the_converted_network():
    theirs = random_state(collection("timm").create_model("resnet18"), "resnet18")
    attr = pytest.importorskip("captum.attr", reason="needs captum: pip install -e '.[parity]'")
    torch = pytest.importorskip("torch")
    size = (96, 128)
    ours = kattn.zoo.create("resnet18", input_shape=(*size, 3), include_preprocessing=False, classifier_activation=None)
    load_tensors(ours, theirs.state_dict())
    images = np.random.default_rng(0).standard_normal((4, *size, 3)).astype("float32")
    x = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    predicted = theirs(x).argmax(dim=1)
    heat = attr.LayerGradCam(theirs, theirs.layer4).attribute(x, predicted, relu_attributions=True)
    small = heat.detach().numpy().transpose(0, 2, 3, 1)
    large = keras.ops.convert_to_numpy(keras.ops.image.resize(small, size, data_format="channels_last"))[..., 0]
    want = large / large.max(axis=(1, 2), keepdims=True)
    got = kattn.explain.grad_cam(ours, images)
    np.testing.assert_allclose(got, want, atol=1e-5)
