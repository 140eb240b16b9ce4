"""Averaged weights are evaluated with statistics of their own, and leave no trace in the training."""

import keras
import numpy as np
import pytest
from support.training import arrays

from kattn.data.batches import Batches
from kattn.data.dataset import Split
from kattn.training.optimisation.averaging import AveragedWeights, normalisations
from kattn.training.optimisation.optimizers import SGD


def network():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.BatchNormalization(momentum=0.99)(keras.layers.Conv2D(6, 3)(x))
    x = keras.layers.Dropout(0.2)(keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x)))
    return keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(x))


@pytest.fixture(scope="module")
def trained():
    keras.utils.set_random_seed(0)
    batches = Batches(Split(*arrays(96)), 16, training=True)
    model = network()
    model.compile(SGD(0.05, momentum=0.9, average=0.9), "sparse_categorical_crossentropy")
    average = AveragedWeights(batches)
    average.set_model(model)
    model.fit(batches, verbose=0, shuffle=False)
    return model, batches, average


def test_the_statistics_are_those_of_the_averaged_weights(trained):
    model, batches, average = trained
    (norm,) = normalisations(model)
    average.on_test_begin()
    weights = [keras.ops.convert_to_numpy(w) for w in model.trainable_weights]
    found = keras.ops.convert_to_numpy(norm.moving_mean)
    average.on_test_end()
    for w, a in zip(weights, model.optimizer.averages, strict=True):
        np.testing.assert_array_equal(w, keras.ops.convert_to_numpy(a))
    kernel, bias = weights[:2]
    means = []
    for number in range(len(batches)):
        images = np.asarray(batches[number][0], "float32") / 255
        means.append((keras.ops.convert_to_numpy(keras.ops.conv(images, kernel)) + bias).mean((0, 1, 2)))
    np.testing.assert_allclose(found, np.mean(means, axis=0), rtol=0.02, atol=1e-4)


def test_everything_is_as_it_was_behind_an_evaluation(trained):
    model, _, average = trained
    variables = [*model.variables, *model.optimizer.variables]
    before = [keras.ops.convert_to_numpy(v) for v in variables]
    average.on_test_begin()
    average.on_test_end()
    for old, variable in zip(before, variables, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), old)
