"""Weights files of kattn: whole or not at all, in half precision where asked, and they know whose they are."""

import numpy as np
import pytest
from support.checkpoints import SMALL, network

from kattn.zoo import create, save_weights


def test_half_precision_halves_the_file_and_keeps_the_vectors(tmp_path):
    model = network("abn_resnet20", classes=5)
    whole = save_weights(model, tmp_path / "whole.weights.h5")
    half = save_weights(model, tmp_path / "half.weights.h5", half=True)
    assert half.stat().st_size < 0.75 * whole.stat().st_size
    again = create("abn_resnet20", classes=5, **SMALL, weights=half)
    norm, conv = "stage1_block1_conv1_bn", "stage1_block1_conv1"
    np.testing.assert_array_equal(again.get_layer(norm).moving_variance, model.get_layer(norm).moving_variance)
    want = np.asarray(model.get_layer(conv).kernel).astype("float16")
    np.testing.assert_array_equal(np.asarray(again.get_layer(conv).kernel), want)
    model.load_weights(half)  # Keras reads it without kattn


def test_what_half_precision_cannot_hold_is_refused_and_nothing_written(tmp_path):
    model = network()
    model.get_layer("logits").kernel.assign(np.full((64, 7), 1e5, "float32"))
    with pytest.raises(ValueError, match="beyond half precision"):
        save_weights(model, tmp_path / "half.weights.h5", half=True)
    with pytest.raises(ValueError, match=r"must end in \.weights\.h5"):
        save_weights(model, tmp_path / "half.h5")
    assert list(tmp_path.iterdir()) == []


def test_a_file_knows_whose_it_is(tmp_path):
    model = network(classes=3)
    about = {"model": "resnet20", "options": {"depths": [1, 1, 1], "classes": 3}}
    save_weights(model, tmp_path / "a.weights.h5", about=about)
    assert create("resnet20", weights=tmp_path / "a.weights.h5").output_shape == (None, 3)
    with pytest.raises(ValueError, match=r"do not belong to resnet32: they are of resnet20"):
        create("resnet32", weights=tmp_path / "a.weights.h5")
    with pytest.raises(ValueError, match=r"are of a network with depths=\(1, 1, 1\). Received: depths=\(2, 1, 1\)"):
        create("resnet20", depths=(2, 1, 1), weights=tmp_path / "a.weights.h5")
