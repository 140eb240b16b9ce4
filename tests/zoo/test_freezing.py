"""`freeze=`: what leads to the end of a stage keeps its weights and statistics, all else is trained."""

import keras
import numpy as np
import pytest
from support.checkpoints import SIZE, SMALL, network
from support.models import pixels

from kattn.zoo import create


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "abn.weights.h5"
    network("abn_resnet20", classes=5).save_weights(path)
    return path


@pytest.mark.parametrize(("last", "frozen", "free"), [(0, "stem_conv", "stage1_block1_conv1"), (2, "stage2", "stage3")])
def test_freeze_keeps_what_leads_to_the_end_of_a_stage(stored, last, frozen, free):
    model = create("abn_resnet20", classes=5, **SMALL, weights=stored, freeze=last)
    for layer in model.layers:
        if layer.weights and layer.name.startswith(("stem", frozen)):
            assert not layer.trainable_weights, layer.name
        if layer.weights and layer.name.startswith((free, "attention_", "logits")):
            assert layer.trainable, layer.name


def test_frozen_normalisations_work_with_their_statistics_and_keep_them(stored):
    model = create("abn_resnet20", classes=5, **SMALL, weights=stored, freeze=2)
    frozen, free = (model.get_layer(name) for name in ("stage2_block1_conv2_bn", "stage3_block1_conv2_bn"))
    x = pixels((4, *SIZE), seed=3)
    up_to = keras.Model(model.input, model.get_layer("stage2_block1_relu").output)
    np.testing.assert_array_equal(np.asarray(up_to(x, training=True)), np.asarray(up_to(x, training=False)))
    before = [np.array(layer.moving_mean) for layer in (frozen, free)]
    model.compile("sgd", loss={name: "sparse_categorical_crossentropy" for name in model.output})
    model.fit(x, {name: np.arange(4) for name in model.output}, verbose=0)
    np.testing.assert_array_equal(np.array(frozen.moving_mean), before[0])
    assert np.abs(np.array(free.moving_mean) - before[1]).max() > 0


@pytest.mark.parametrize(("freeze", "message"), [(4, "1 to 3, or 0"), (-1, "1 to 3, or 0"), ("all", "1 to 3, or 0")])
def test_a_stage_that_does_not_exist_cannot_be_frozen(stored, freeze, message):
    with pytest.raises(ValueError, match=message):
        create("abn_resnet20", classes=5, **SMALL, weights=stored, freeze=freeze)


def test_random_weights_are_not_frozen():
    with pytest.raises(ValueError, match="freeze keeps weights as they are: give weights="):
        create("resnet20", freeze=1)
