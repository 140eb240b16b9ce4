"""Xception: the author's network; AFI integrates the run of nine equal blocks."""

import keras
import numpy as np
import pytest
from support.models import assert_probabilities, integrated_maps, pixels, randomise

from kattn.zoo import create


def author_names():
    """Names of the layers with weights: ours to theirs. Keras numbers the unnamed shortcuts from where it stands."""
    blocks = [(1, 1), (2, 1), *((3, i) for i in range(1, 10)), (4, 1)]
    names = {f"stem_conv{i}": f"block1_conv{i}" for i in (1, 2)}
    names |= {f"stage4_last{i}": f"block14_sepconv{i}" for i in (1, 2)}
    for number, (stage, block) in enumerate(blocks, start=2):
        names |= {f"stage{stage}_block{block}_conv{i}": f"block{number}_sepconv{i}" for i in (1, 2, 3)}
    return names | {f"{ours}_bn": f"{theirs}_bn" for ours, theirs in names.items()} | {"logits": "predictions"}


@pytest.mark.slow
def test_equals_the_authors_network_on_even_and_odd_maps():
    size = (100, 90, 3)
    theirs = keras.applications.Xception(weights=None, classes=7, input_shape=size)
    ours = create("xception", classes=7, input_shape=size, include_preprocessing=False)
    randomise(theirs)
    names = author_names()
    unnamed = {
        kind: [layer for layer in theirs.layers if isinstance(layer, kind) and not layer.name.startswith("block")]
        for kind in (keras.layers.Conv2D, keras.layers.BatchNormalization)
    }
    for layer in ours.layers:
        if not layer.weights:
            continue
        named = layer.name in names
        source = theirs.get_layer(names[layer.name]) if named else unnamed[type(layer)].pop(0)
        layer.set_weights(source.get_weights())
    x = pixels((2, *size)) / 127.5 - 1
    np.testing.assert_allclose(*map(keras.ops.convert_to_numpy, (ours(x), theirs(x))), atol=1e-6)


def test_afi_halves_the_first_separable_convolution_of_the_equal_blocks():
    model = create("afi_xception", input_shape=(32, 32, 3), classes=4)
    assert [model.get_layer(f"stage3_block{i}_conv1").filters for i in range(1, 10)] == [728, *[364] * 8]
    assert len(integrated_maps(model, "stage3_block9_conv1")) == 9
    assert_probabilities(model, (32, 32))


def test_a_mechanism_that_replaces_a_dense_convolution_has_no_place():
    with pytest.raises(ValueError, match=r"sk has no place in xception.*no dense 3x3 convolution"):
        create("sk_xception")
