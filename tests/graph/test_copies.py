"""Copies of models: the same values on new layers, with changes where they are asked for."""

import keras
import numpy as np
import pytest
from keras import layers
from support.models import largest_difference, pixels, randomise

from kattn.graph.copies import WeightShapeError, assign_state, copy_layer, copy_model
from kattn.layers import CBAM, SqueezeExcite


class Bare(layers.Layer):
    """A layer that takes no name, dtype or trainable."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def call(self, x):
        return self.factor * x


def nested():
    """A layer shared by a model and the one nested in it, a Sequential, an operation and an adapted normalisation."""
    shared = layers.Conv2D(3, 3, padding="same", name="shared")
    normalise = layers.Normalization(name="normalise")
    normalise.adapt(pixels((8, 8, 8, 3)))
    inside = keras.Input((8, 8, 3))
    norm = keras.Sequential([keras.Input((8, 8, 3)), layers.BatchNormalization(name="norm")], name="norms")
    inner = keras.Model(inside, norm(shared(inside)) + inside, name="inner")
    image = keras.Input((8, 8, 3), name="picture")
    x = SqueezeExcite(2, name="gate")(shared(inner(normalise(image))))
    model = keras.Model({"picture": image}, [x, layers.Flatten(name="flat")(Bare(2)(x))], name="outer")
    randomise(model.get_layer("gate"))
    randomise(inner)
    return model


def test_a_copy_computes_the_same_with_layers_of_its_own():
    model = nested()
    copy, pairs = copy_model(model)
    x = {"picture": pixels((2, 8, 8, 3))}
    assert largest_difference(copy(x), model(x)) == 0
    assert (copy.name, set(copy.input), len(copy.output)) == ("outer", {"picture"}, 2)
    assert [new.name for _, new in pairs] == [old.name for old, _ in pairs]
    assert not {id(w) for w in copy.weights} & {id(w) for w in model.weights}
    before = model.get_weights()
    copy.set_weights([weight + 1 for weight in copy.get_weights()])
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_a_shared_layer_stays_shared():
    copy, pairs = copy_model(nested())
    assert copy.get_layer("shared") is copy.get_layer("inner").get_layer("shared")
    assert [old.name for old, _ in pairs].count("shared") == 1


def test_calls_and_configurations_may_change():
    model = nested()

    def narrower(call, config):
        return type(call.layer), config | ({"reduction": 1} if call.name == "gate" else {})

    with pytest.raises(WeightShapeError, match=r"weight gate/reduce/kernel .* does not fit a copy of shape") as error:
        copy_model(model, recipe=narrower)
    assert error.value.weight.path == "gate/reduce/kernel"

    def without_gate(call):
        return call.args[0] if call.name == "gate" else call.run()

    x = {"picture": pixels((2, 8, 8, 3))}
    assert largest_difference(copy_model(model, make=without_gate)[0](x), model(x)) > 0


def test_what_is_frozen_stays_frozen_with_all_that_is_inside():
    image = keras.Input((8, 8, 8))
    model = keras.Model(image, CBAM(reduction=2, name="gate")(layers.Conv2D(8, 1, name="conv")(image)))
    model.get_layer("gate").trainable = False
    copy, _ = copy_model(model)
    assert [weight.path for weight in copy.trainable_weights] == ["conv/kernel", "conv/bias"]


def test_the_model_of_each_time_step_is_copied():
    model = nested()
    frame = keras.Model(model.input["picture"], model.output[0], name="frame")
    video = keras.Input((3, 8, 8, 3))
    over_time = keras.Model(video, layers.TimeDistributed(frame, name="frames", dtype="mixed_bfloat16")(video))
    seen = []
    copy, _ = copy_model(over_time, make=lambda call: seen.append(call.name) or call.run())
    assert "frames/inner/shared" in seen and seen[-1] == "frames"
    assert copy.get_layer("frames").dtype_policy.name == "mixed_bfloat16"
    x = pixels((1, 3, 8, 8, 3))
    assert largest_difference(copy(x), over_time(x)) == 0


def test_a_layer_that_cannot_be_made_anew_is_named():
    class Forgetful(layers.Layer):
        def __init__(self, function, **options):
            super().__init__(**options)

    with pytest.raises(ValueError, match=r"layer 'forgetful' \(Forgetful\) cannot be copied: its get_config"):
        copy_layer(Forgetful(len, name="forgetful"))
    assert (copy_layer(Bare(3)).factor, copy_layer(Bare(3)).name[:4]) == (3, "bare")


def test_state_of_another_shape_is_an_error():
    one, two = layers.Dense(2), layers.Dense(3)
    one.build((None, 4))
    two.build((None, 4))
    with pytest.raises(WeightShapeError):
        assign_state(one, two)
