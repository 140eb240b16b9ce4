"""Trajectories of the optimizers are torch's, also where the learning rate changes."""

import keras
import numpy as np
import pytest

from conformance.tables import FILE, RATES, SGDS, slope, start_and_target
from kattn.training.optimisation.optimizers import SGD, AdamW

TABLES = np.load(FILE)
DTYPE = "float32" if keras.backend.backend() == "jax" else "float64"  # JAX has no float64 by default


def trajectory(optimizer, rates, dtype=DTYPE):
    start, target = start_and_target()
    weights = keras.Variable(start, dtype=dtype, name="kernel")
    found = []
    for rate in rates:
        optimizer.learning_rate = rate
        gradient = slope(keras.ops.convert_to_numpy(weights), target)
        optimizer.apply([keras.ops.convert_to_tensor(gradient, dtype)], [weights])
        found.append(keras.ops.convert_to_numpy(weights))
    return np.array(found)


def apart(ours, theirs):
    """Largest relative distance of the weights over all steps."""
    return max(np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("course", RATES)
@pytest.mark.parametrize("name", SGDS)
def test_sgd_goes_torch_s_way(name, course):
    options = {"l2" if key == "weight_decay" else key: value for key, value in SGDS[name].items()}
    ours = trajectory(SGD(0.1, momentum=0.9, **options), RATES[course])
    assert apart(ours, TABLES[f"sgd_{name}_{course}"]) <= 1e-6


def test_caffe_s_momentum_keeps_the_old_rate_for_a_while():
    ours = trajectory(SGD(0.1, momentum=0.9, convention="caffe"), RATES["drop"])
    theirs = TABLES["sgd_plain_drop"]
    assert apart(ours[:30], theirs[:30]) <= 1e-6
    assert apart(ours, theirs) > 1e-3
    keras_own = trajectory(keras.optimizers.SGD(0.1, momentum=0.9), RATES["drop"])
    assert apart(ours, keras_own) <= 1e-6


def test_adamw_goes_torch_s_way():
    ours = trajectory(AdamW(learning_rate=0.1, weight_decay=0.05), RATES["warmup"])
    assert apart(ours, TABLES["adamw_warmup"]) <= 1e-5  # Keras has the bias correction in float32; 1e-3 by its epsilon


@pytest.mark.parametrize("accumulate", [None, 3])
def test_the_average_takes_the_weights_up_once_an_update(accumulate):
    optimizer = SGD(0.1, average=0.9, gradient_accumulation_steps=accumulate)
    ours = trajectory(optimizer, [0.1] * 12)
    updates = ours[(accumulate or 1) - 1 :: accumulate or 1]
    average = updates[0]
    for weights in updates[1:]:
        average = 0.9 * average + 0.1 * weights
    np.testing.assert_allclose(keras.ops.convert_to_numpy(optimizer.averages[0]), average, rtol=1e-6, atol=1e-8)


def test_an_optimizer_saved_before_conventions_were_named_keeps_caffe_s():
    config = SGD(0.1, momentum=0.9).get_config()
    assert SGD.from_config(config).convention == "torch"
    del config["convention"]
    assert SGD.from_config(config).convention == "caffe"
