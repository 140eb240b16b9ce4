"""Every model builds, gives probabilities, survives saving and trains a step."""

import keras
import numpy as np
import pytest
from support.models import largest_difference, pixels

import kattn.layers  # noqa: F401  registers the layers
from kattn.zoo import create
from kattn.zoo.attentions.table import ATTENTIONS
from kattn.zoo.tables import pairs, rows

FAMILIES = {"resnet20": 16, "wide_resnet16_8": 8, "densenet40_k12": 8, "mobilenet_v2_cifar": 16}
SIX = ("se", "cbam", "bam", "gc", "afi", "abn")


def check(name, size, folder):
    _, backbone = rows(name)
    model = create(name, input_shape=(size, size, 3))
    x, y = pixels((2, size, size, 3)), np.array([0, backbone.classes - 1])
    outputs = model(x, training=False)
    for scores in keras.tree.flatten(outputs):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(scores).sum(-1), 1, rtol=1e-4)
    path = folder / "model.keras"
    model.save(path)
    loaded = keras.saving.load_model(path, compile=False)
    assert largest_difference(loaded(x, training=False), outputs) == 0
    path.unlink()
    target = {key: y for key in model.output} if isinstance(model.output, dict) else y
    model.compile(keras.optimizers.SGD(1e-3), "sparse_categorical_crossentropy", run_eagerly=True)
    loss = model.train_on_batch(x, target)
    assert np.isfinite(loss).all()
    assert all(np.isfinite(keras.ops.convert_to_numpy(w)).all() for w in model.trainable_weights)


def smallest(name):
    """A size at which a network still has something to look at in its last stage."""
    _, backbone = rows(name)
    unpadded = 75 if name.endswith("inception_resnet_v2") else 64
    return min(backbone.input_shape[0], unpadded)


@pytest.mark.parametrize("backbone", FAMILIES)
@pytest.mark.parametrize("attention", [name for name in ATTENTIONS if name != "none"])
def test_every_mechanism_works_on_every_family(attention, backbone, tmp_path):
    name = f"{attention}_{backbone}"
    if name not in {pair[0] for pair in pairs()}:
        assert attention not in SIX
        with pytest.raises(ValueError, match=f"{attention} has no place in {backbone}: "):
            create(name)
        return
    check(name, FAMILIES[backbone], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", [pair[0] for pair in pairs()])
def test_every_model(name, tmp_path):
    keras.utils.clear_session()
    check(name, smallest(name), tmp_path)
