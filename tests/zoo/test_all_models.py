"""Every model builds, gives probabilities, survives saving and trains a step."""

import keras
import numpy as np
import pytest
from support.models import assert_probabilities, largest_difference, pixels, short
from support.sweeps import one_a_site, swept

import kattn.layers  # noqa: F401  registers the layers
from kattn.zoo import create, info
from kattn.zoo.attentions.table import ATTENTIONS
from kattn.zoo.backbones import densenet
from kattn.zoo.backbones.table import BACKBONES
from kattn.zoo.tables import pairs

# A network of each other kind, with attentions at all sites; the whole product is a slow test.
OTHERS = (
    "eca_shufflenet_v2_x0_5_cifar",
    "nl_preact_resnet18",
    "cbam_squeezenet1_1",
)


def thorough():
    """Every mechanism in the smallest network of each paper's family, and three mechanisms in every other network.

    Networks of one family share the code of their blocks; that each of the others builds too, with the parameters
    and multiply-adds of the table, is tested in tests/publish/test_catalog.py.
    """
    smallest = {}
    for name in BACKBONES:
        family = (info(name).papers[0], "_cifar" in name)
        smallest[family] = min(smallest.get(family, name), name, key=lambda one: info(one).parameters)
    for name, attention, backbone in pairs():
        if backbone in smallest.values() or attention in ("none", "se", "abn"):
            yield name, backbone


def check(model, folder):
    """Warnings are errors: a weight without gradient (AFI's scores of a single map) would be one."""
    size = model.input_shape[1:3]
    assert_probabilities(model, size)
    x = pixels((2, *size, 3))
    outputs = model(x, training=False)
    model.save(folder / "model.keras")
    loaded = keras.saving.load_model(folder / "model.keras", compile=False)
    assert largest_difference(loaded(x, training=False), outputs) == 0
    y = np.array([0, keras.tree.flatten(outputs)[0].shape[-1] - 1])
    target = {key: y for key in model.output} if isinstance(model.output, dict) else y
    model.compile(keras.optimizers.SGD(1e-3), "sparse_categorical_crossentropy", run_eagerly=True)
    loss = model.train_on_batch(x, target)
    assert np.isfinite(loss).all()
    assert all(np.isfinite(keras.ops.convert_to_numpy(w)).all() for w in model.trainable_weights)


@pytest.mark.parametrize("attention", swept([name for name in ATTENTIONS if name != "none"], one_a_site()))
def test_every_mechanism_works_in_a_resnet(attention, tmp_path):
    check(create(f"{attention}_resnet20", input_shape=(8, 8, 3), depths=(1, 1, 2)), tmp_path)


@pytest.mark.parametrize("name", OTHERS)
def test_every_kind_of_network_works_with_a_mechanism(name, tmp_path):
    size = 32 if "squeezenet" in name else 8
    check(create(name, input_shape=(size, size, 3), classes=3), tmp_path)


def test_a_densenet_works_with_a_mechanism(tmp_path):
    check(short("afi", densenet.cifar(13, 12), input_shape=(8, 8, 3)), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "backbone"), list(thorough()))
def test_every_mechanism_works_in_every_family_and_every_network_with_some(name, backbone, tmp_path):
    keras.utils.clear_session()
    size = min(BACKBONES[backbone].input_shape[0], 75 if backbone == "inception_resnet_v2" else 64)
    check(create(name, input_shape=(size, size, 3)), tmp_path)


@pytest.mark.parametrize("pair", [("sk", "mobilenet_v2_cifar"), ("afi", "squeezenet1_1"), ("afi_ge", "vgg16")])
def test_a_mechanism_without_a_place_is_refused(pair):
    attention, backbone = pair
    with pytest.raises(ValueError, match=f"{attention} has no place in {backbone}: "):
        create("_".join(pair))
