"""A spatial transformer in front of a network: starts as the network, turns what theta says, trains, exports."""

import keras
import numpy as np
import pytest
from keras import ops
from support.models import largest_difference, pixels, randomise, trainable

from kattn.zoo import create, spatial_transformer

SMALL = {"backbone": "resnet20", "filters": (4, 6), "hidden": 5, "input_shape": (16, 16, 3)}


def copy_backbone(source, target):
    """The weights of a network, in the layers of the same names."""
    names = {layer.name: layer for layer in source.layers}
    for layer in target.layers:
        if layer.name in names and layer.weights:
            layer.set_weights(names[layer.name].get_weights())


def test_it_starts_as_its_backbone():
    model, backbone = spatial_transformer(**SMALL), create("resnet20", input_shape=(16, 16, 3))
    randomise(backbone)
    copy_backbone(backbone, model)
    x = pixels((2, 16, 16, 3))
    assert largest_difference(model(x), backbone(x)) < 1e-4


def test_it_shows_its_backbone_what_theta_says():
    model = spatial_transformer(**SMALL, return_transform=True)
    half_turn = np.float32([-1, 0, 0, 0, -1, 0])
    model.get_layer("localise_theta").bias.assign(half_turn)
    x = pixels((2, 16, 16, 3))
    np.testing.assert_array_equal(ops.convert_to_numpy(model(x)["transform"]), [half_turn] * 2)
    sampled = keras.Model(model.input, model.get_layer("sampler").output)
    plain = keras.Model(model.input, model.get_layer("normalise").output)
    assert largest_difference(sampled(x), plain(x[:, ::-1, ::-1])) < 1e-4


def test_the_localisation_network_has_the_parameters_of_its_layers():
    model = spatial_transformer(**SMALL)
    convolutions = 5 * 5 * 3 * 4 + 4 + 5 * 5 * 4 * 6 + 6
    features = 4 * 4 * 6
    assert trainable(model) - trainable(create("resnet20")) == convolutions + features * 5 + 5 + 6 * 5 + 6


@pytest.mark.slow
def test_the_backbone_may_see_a_smaller_image_and_have_an_attention():
    model = spatial_transformer(**SMALL | {"backbone": "abn_resnet20"}, size=8, return_transform=True, classes=3)
    assert set(model.output) == {"predictions", "attention_predictions", "transform"}
    assert model.get_layer("sampler").output.shape == (None, 8, 8, 3)
    outputs = model(pixels((2, 16, 16, 3)))
    np.testing.assert_allclose(ops.convert_to_numpy(outputs["predictions"]).sum(-1), 1, rtol=1e-5)
    assert spatial_transformer(**SMALL | {"backbone": "se_resnet20"}, reduction=4).name == (
        "spatial_transformer_se_resnet20"
    )


@pytest.mark.slow
def test_labels_alone_train_the_transform():
    model = spatial_transformer(**SMALL)
    model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", run_eagerly=True)
    x, y = pixels((4, 16, 16, 3)), np.arange(4)
    losses = [float(model.train_on_batch(x, y)) for _ in range(3)]
    assert np.all(np.isfinite(losses)) and losses[-1] < losses[0]
    kernel, bias = model.get_layer("localise_theta").get_weights()
    assert np.abs(kernel).max() > 0 and np.abs(bias - np.float32([1, 0, 0, 0, 1, 0])).max() > 1e-4


@pytest.mark.slow
def test_it_survives_saving(tmp_path):
    model, x = spatial_transformer(**SMALL), pixels((2, 16, 16, 3))
    randomise(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert largest_difference(loaded(x), model(x)) < 1e-5
    again = spatial_transformer(**SMALL, weights=tmp_path / "model.keras")
    assert largest_difference(again(x), model(x)) == 0


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"input_shape": (None, None, 3)}, ValueError, "input_shape must be .* all known"),
        ({"backbone": "resnet21"}, ValueError, "Unknown model 'resnet21'"),
        ({"reduction": 4}, TypeError, "resnet20 has no option reduction"),
        ({"size": 0}, ValueError, "size must be one or two positive numbers"),
        ({"weights": "mnist"}, ValueError, "does not exist for spatial_transformer_resnet20"),
    ],
)
def test_bad_options_are_named(options, error, message):
    with pytest.raises(error, match=message):
        spatial_transformer(**{**SMALL, **options})
