"""Tags and paths: what exists is found with what belongs to it, what does not is named."""

import hashlib

import numpy as np
import pytest
from support.checkpoints import SMALL, network

from kattn.zoo import create, save_weights
from kattn.zoo.weights import manifest


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


def test_a_file_of_another_kind_is_an_error(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"")
    with pytest.raises(ValueError, match="a weights file ends in"):
        create("resnet20", weights=tmp_path / "a.zip")


@pytest.fixture
def published(monkeypatch, tmp_path):
    """A manifest of one row, whose file comes with the package."""
    path = save_weights(network(shortcut="A", classes=4), tmp_path / "r.weights.h5", half=True)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    text = f"""
        [[weights]]
        model = "resnet20"
        tag = "cifar10.kattn"
        default = true
        file = "r.weights.h5"
        hash = "sha256:{digest}"
        classes = 4
        input_shape = [32, 32, 3]
        mean = [0.1, 0.2, 0.3]
        std = [0.5, 0.5, 0.5]
        license = "Apache-2.0"
        metric = "25 % top-1"
        metric_source = "a test"
        recipe = "quick"
        seed = 0
        verified = "no"
        options = {{ shortcut = "A" }}
    """
    rows = manifest.read(text)
    monkeypatch.setattr(manifest, "entries", lambda: {"resnet20": {row.tag: row for row in rows}})
    monkeypatch.setattr(manifest.resources, "files", lambda _: tmp_path)


@pytest.mark.parametrize("tag", ["cifar10", "cifar10.kattn"])
def test_a_tag_brings_weights_classes_options_and_normalisation(published, tag):
    model = create("resnet20", weights=tag, **SMALL)
    assert model.output_shape == (None, 4) and "stage2_block1_shortcut" not in [layer.name for layer in model.layers]
    np.testing.assert_allclose(model.get_layer("normalise").offset, [-0.2, -0.4, -0.6], rtol=1e-6)
    other = create("resnet20", weights=tag, **SMALL, mean=(0.5, 0.5, 0.5), classes=9)
    assert other.output_shape == (None, 9)
    np.testing.assert_allclose(other.get_layer("normalise").offset, [-1, -1, -1], rtol=1e-6)


def test_options_that_contradict_the_tag_are_an_error(published):
    with pytest.raises(ValueError, match=r"are of a network with shortcut='A'. Received: shortcut='B'"):
        create("resnet20", weights="cifar10", shortcut="B")


def test_an_unknown_tag_lists_what_exists(published):
    with pytest.raises(ValueError, match=r"'cifar100' does not exist for resnet20; published: cifar10\.kattn"):
        create("resnet20", weights="cifar100")
