"""Networks whose block is the network: each trains a step and exports in every format, equal to the model."""

import keras
import numpy as np
import pytest
from keras import ops
from support.models import pixels, randomise
from support.segmentation import HEADS, labels, network

import kattn
from kattn.zoo import (
    rcan,
    rnan,
    sagan_discriminator,
    sagan_generator,
    san,
    segmentation_losses,
    spatial_transformer,
)

NETWORKS = {
    **{head: lambda head=head: network(head) for head in HEADS},
    "rcan": lambda: rcan(groups=1, blocks=1, filters=8, reduction=4, input_shape=(6, 6, 3)),
    "san": lambda: san(groups=1, blocks=1, filters=8, reduction=4, input_shape=(6, 6, 3)),
    "rnan": lambda: rnan(local_blocks=1, filters=4, input_shape=(6, 6, 3)),
    "sagan_generator": lambda: sagan_generator(image_size=16, filters=8, latent_size=5),
    "sagan_discriminator": lambda: sagan_discriminator(image_size=16, filters=8),
    "spatial_transformer": lambda: spatial_transformer(
        backbone="resnet20", filters=(4, 6), hidden=5, input_shape=(16, 16, 3)
    ),
}
TOLERANCE = 1e-4


# A spatial transformer looks values up where theta points: positions, and in ONNX their shape, are computed.
ALLOWED = {"spatial_transformer": ("GATHER", "Gather", "Cast", "Shape")}


def built(name):
    """A small network with random weights."""
    model = NETWORKS[name]()
    randomise(model)
    if name == "spatial_transformer":  # a random theta would point far outside the image
        theta = model.get_layer("localise_theta")
        theta.kernel.assign(1e-5 * theta.kernel)
        theta.bias.assign([0.9, 0.1, 0.05, -0.1, 1.1, -0.05])
    return model


def assert_exports(model, form, folder, allow=(), outputs=("predictions",)):
    options = {} if form == "saved_model" else {"allow": allow}
    path = folder / (model.name if form == "saved_model" else f"{model.name}.{form}")
    report = getattr(kattn.export, form)(model, path, tolerance=TOLERANCE, **options)
    assert sorted(report.outputs) == sorted(outputs) == sorted(report.differences)
    assert report.tolerance == TOLERANCE and "difference" in report.checks
    if form == "tflite":
        assert report.ops and not [op for op in report.ops if op.startswith(("Flex", "CUSTOM"))]


@pytest.mark.parametrize(("name", "form"), [("psa", "tflite"), ("san", "onnx"), ("sagan_generator", "tflite")])
def test_a_network_of_each_kind_exports(name, form, tmp_path):
    """All of them, in every format, are slow tests."""
    assert_exports(built(name), form, tmp_path, ALLOWED.get(name, ()))


@pytest.mark.slow
@pytest.mark.parametrize("form", ["saved_model", "tflite", "onnx"])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_exports_in_every_format(name, form, tmp_path):
    assert_exports(built(name), form, tmp_path, ALLOWED.get(name, ()))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("head", "backbone"),
    [*((head, "resnet18") for head in HEADS), *(("criss_cross", b) for b in ("mobilenet_v2", "densenet121", "vgg16"))],
)
@pytest.mark.parametrize("form", ["tflite", "onnx"])
def test_a_head_on_a_dilated_backbone_exports(head, backbone, form, tmp_path):
    size = 65
    whole = kattn.zoo.create(backbone, include_top=False, input_shape=(size, size, 3))
    model = network(head, whole)
    for layer in model.layers:  # statistics and zero-initialised scales that prove something
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.gamma.assign(np.random.default_rng(0).uniform(0.5, 1.5, layer.gamma.shape))
    assert_exports(model, form, tmp_path, ALLOWED.get(head, ()))


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_takes_a_compiled_step(name):
    model = NETWORKS[name]()
    shape = (2, *model.input_shape[1:])
    x = pixels(shape) if len(shape) == 4 else np.random.default_rng(0).standard_normal(shape).astype("float32")
    if name in HEADS:
        model.compile("adam", **segmentation_losses(model))
        y = dict.fromkeys(model.output, labels())
    elif name == "spatial_transformer":
        model.compile("adam", "sparse_categorical_crossentropy")
        y = np.arange(2)
    else:
        model.compile("adam", "mse")
        y = np.zeros((2, *model.output_shape[1:]), "float32")
    before = [ops.convert_to_numpy(w) for w in model.trainable_weights]
    loss = model.fit(x, y, batch_size=2, verbose=0).history["loss"][0]
    assert np.isfinite(loss)
    assert any(np.any(ops.convert_to_numpy(w) != b) for w, b in zip(model.trainable_weights, before, strict=True))
