"""Weights load strictly, or nothing does."""

import logging

import numpy as np
import pytest
from helpers import pixels, randomise

from kattn.zoo import create


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    model = create("abn_resnet20", classes=5)
    randomise(model)
    model.save_weights(folder / "abn.weights.h5")
    model.save(folder / "abn.keras")
    return folder, model


@pytest.mark.parametrize("file", ["abn.weights.h5", "abn.keras"])
def test_a_file_gives_the_models_numbers(stored, file):
    folder, model = stored
    again = create("abn_resnet20", classes=5, weights=folder / file)
    x = pixels((2, 32, 32, 3))
    np.testing.assert_array_equal(np.asarray(again(x)["predictions"]), np.asarray(model(x)["predictions"]))


def test_other_classes_keep_everything_but_the_head_and_say_so(stored, caplog):
    folder, model = stored
    with caplog.at_level(logging.WARNING, logger="kattn"):
        other = create("abn_resnet20", classes=7, weights=folder / "abn.weights.h5")
    assert len(caplog.records) == 1 and "attention_branch, logits" in caplog.text
    for name in ("stem_conv", "stage3_block3_conv2", "attention_stage3_block2_conv1"):
        for a, b in zip(other.get_layer(name).get_weights(), model.get_layer(name).get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
    assert other.output["predictions"].shape[-1] == 7


def test_other_channels_keep_everything_but_the_stem(stored, caplog):
    folder, model = stored
    with caplog.at_level(logging.WARNING, logger="kattn"):
        other = create("abn_resnet20", classes=5, input_shape=(32, 32, 1), weights=folder / "abn.weights.h5")
    assert "stem_conv" in caplog.text
    np.testing.assert_array_equal(
        other.get_layer("logits").get_weights()[0], model.get_layer("logits").get_weights()[0]
    )


def test_weights_of_another_model_are_refused_with_what_differs(stored):
    folder, _ = stored
    with pytest.raises(ValueError, match=r"not belong.*\n.*not in the model \(50\): layers/attention_branch"):
        create("resnet20", weights=folder / "abn.weights.h5")
    with pytest.raises(ValueError, match="missing in the file"):
        create("abn_resnet32", weights=folder / "abn.weights.h5")


def test_a_wider_twin_is_refused_by_shape(stored, tmp_path):
    create("se_resnet20", reduction=4).save_weights(tmp_path / "se.weights.h5")
    with pytest.raises(ValueError, match=r"of another shape \(\d+\): layers/squeeze_excite.*file .*, model"):
        create("se_resnet20", reduction=8, weights=tmp_path / "se.weights.h5")


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        ("imagenet", ValueError, "weights='imagenet' does not exist for resnet20"),
        ("missing.weights.h5", FileNotFoundError, "there is no such file"),
        ("somewhere/missing.keras", FileNotFoundError, "there is no such file"),
    ],
)
def test_what_does_not_exist_is_an_error(weights, error, message):
    with pytest.raises(error, match=message):
        create("resnet20", weights=weights)


@pytest.mark.parametrize(
    ("name", "message"), [("a.keras", "not a .keras archive"), ("a.weights.h5", "not a readable HDF5")]
)
def test_a_broken_file_is_an_error(tmp_path, name, message):
    (tmp_path / name).write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match=message):
        create("resnet20", weights=tmp_path / name)


def test_a_file_of_another_kind_is_an_error(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"")
    with pytest.raises(ValueError, match="a weights file ends in"):
        create("resnet20", weights=tmp_path / "a.zip")
