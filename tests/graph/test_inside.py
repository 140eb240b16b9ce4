"""What is inside a model: parameters and layers, whatever is frozen, nested or wrapped."""

import keras
import pytest
from keras import layers

from kattn.graph.inside import all_layers, freeze, parameters
from kattn.layers import CBAM


def small():
    image = keras.Input((8, 8, 8))
    x = layers.BatchNormalization(name="norm")(layers.Conv2D(8, 1, name="conv")(image))
    return keras.Model(image, CBAM(reduction=2, name="gate")(x), name="small")


def in_a_sequential(model):
    return keras.Sequential([keras.Input((8, 8, 8)), model], name="around")


def over_time(model):
    video = keras.Input((3, 8, 8, 8))
    return keras.Model(video, layers.TimeDistributed(model, name="frames")(video))


@pytest.mark.parametrize("around", [lambda model: model, in_a_sequential, over_time])
def test_parameters_are_all_weights_but_statistics_frozen_or_not(around):
    model = around(small())
    learned = [weight.path for weight in parameters(model)]
    assert learned == [weight.path for weight in model.trainable_weights]
    assert len(learned) == 2 + 2 + 7 and not any("moving" in path for path in learned)
    freeze(model)
    assert [weight.path for weight in parameters(model)] == learned and not model.trainable_weights


def test_layers_that_were_frozen_before_they_were_built_have_their_parameters():
    conv = layers.Conv2D(4, 1, trainable=False)
    conv.build((None, 8, 8, 3))
    norm = layers.BatchNormalization(trainable=False)
    norm.build((None, 8, 8, 3))
    assert [len(parameters(layer)) for layer in (conv, norm)] == [2, 2]


def test_a_layer_that_its_configuration_froze_is_frozen_with_all_that_is_inside():
    gate = CBAM.from_config({**CBAM(reduction=2).get_config(), "trainable": False})
    gate.build((None, 8, 8, 8))
    freeze(gate)
    assert not any(weight.trainable for weight in gate.weights)


@pytest.mark.parametrize(
    ("around", "names"),
    [
        (lambda model: model, ["conv", "norm", "gate"]),
        (in_a_sequential, ["conv", "norm", "gate"]),
        (lambda model: over_time(in_a_sequential(model)), ["frames", "conv", "norm", "gate"]),
    ],
)
def test_all_layers_are_those_inside_nested_models(around, names):
    found = all_layers(around(small()))
    assert [layer.name for layer in found if not isinstance(layer, layers.InputLayer)] == names
