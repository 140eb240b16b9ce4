"""Weights load strictly, or nothing does."""

import hashlib
import logging
import os
import shutil
import subprocess
import sys
import zipfile

import h5py
import keras
import numpy as np
import pytest
from support import DATA
from support.models import pixels, randomise

from kattn.zoo import create, save_weights
from kattn.zoo.weights import manifest


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


def test_a_model_without_its_top_takes_a_file_with_it(stored):
    folder, _ = stored
    plain = create("se_resnet20", classes=5, depths=(1, 1, 1))
    randomise(plain)
    plain.save_weights(folder / "se.weights.h5")
    body = create("se_resnet20", depths=(1, 1, 1), include_top=False, weights=folder / "se.weights.h5")
    np.testing.assert_array_equal(
        body.get_layer("stage3_block1_conv2").get_weights()[0], plain.get_layer("stage3_block1_conv2").get_weights()[0]
    )
    with pytest.raises(ValueError, match="not in the model"):
        create("resnet20", depths=(1, 1, 1), include_top=False, weights=folder / "se.weights.h5")


def test_half_precision_halves_the_file_and_keeps_the_vectors(stored, tmp_path):
    folder, model = stored
    half = save_weights(model, tmp_path / "half.weights.h5", half=True)
    assert half.stat().st_size < 0.65 * (folder / "abn.weights.h5").stat().st_size
    again = create("abn_resnet20", classes=5, weights=half)
    norm, conv = "stage1_block1_conv1_bn", "stage1_block1_conv1"
    np.testing.assert_array_equal(again.get_layer(norm).moving_variance, model.get_layer(norm).moving_variance)
    want = np.asarray(model.get_layer(conv).kernel).astype("float16")
    np.testing.assert_array_equal(np.asarray(again.get_layer(conv).kernel), want)
    model.load_weights(half)  # Keras reads it without kattn


def test_what_half_precision_cannot_hold_is_refused_and_nothing_written(tmp_path):
    model = create("resnet20", depths=(1, 1, 1))
    model.get_layer("logits").kernel.assign(np.full((64, 10), 1e5, "float32"))
    with pytest.raises(ValueError, match="beyond half precision"):
        save_weights(model, tmp_path / "half.weights.h5", half=True)
    with pytest.raises(ValueError, match=r"must end in \.weights\.h5"):
        save_weights(model, tmp_path / "half.h5")
    assert list(tmp_path.iterdir()) == []


def test_a_file_knows_whose_it_is(tmp_path):
    model = create("resnet20", depths=(1, 1, 1), classes=3)
    about = {"model": "resnet20", "options": {"depths": [1, 1, 1], "classes": 3}}
    save_weights(model, tmp_path / "a.weights.h5", about=about)
    assert create("resnet20", weights=tmp_path / "a.weights.h5").output_shape == (None, 3)
    with pytest.raises(ValueError, match=r"do not belong to resnet32: they are of resnet20"):
        create("resnet32", weights=tmp_path / "a.weights.h5")
    with pytest.raises(ValueError, match=r"are of a network with depths=\(1, 1, 1\). Received: depths=\(2, 1, 1\)"):
        create("resnet20", depths=(2, 1, 1), weights=tmp_path / "a.weights.h5")


# ---------------------------------------------------------------- fine-tuning


@pytest.mark.parametrize(("last", "frozen", "free"), [(0, "stem_conv", "stage1_block1_conv1"), (2, "stage2", "stage3")])
def test_freeze_keeps_what_leads_to_the_end_of_a_stage(stored, last, frozen, free):
    folder, _ = stored
    model = create("abn_resnet20", classes=5, weights=folder / "abn.weights.h5", freeze=last)
    for layer in model.layers:
        if layer.weights and layer.name.startswith(("stem", frozen)):
            assert not layer.trainable_weights, layer.name
        if layer.weights and layer.name.startswith((free, "attention_", "logits")):
            assert layer.trainable, layer.name


def test_frozen_normalisations_work_with_their_statistics_and_keep_them(stored):
    folder, _ = stored
    model = create("abn_resnet20", classes=5, weights=folder / "abn.weights.h5", freeze=2)
    frozen, free = (model.get_layer(name) for name in ("stage2_block3_conv2_bn", "stage3_block3_conv2_bn"))
    x = pixels((4, 32, 32, 3), seed=3)
    up_to = keras.Model(model.input, model.get_layer("stage2_block3_relu").output)
    np.testing.assert_array_equal(np.asarray(up_to(x, training=True)), np.asarray(up_to(x, training=False)))
    before = [np.array(layer.moving_mean) for layer in (frozen, free)]
    model.compile("sgd", loss={name: "sparse_categorical_crossentropy" for name in model.output})
    model.fit(x, {name: np.arange(4) for name in model.output}, verbose=0)
    np.testing.assert_array_equal(np.array(frozen.moving_mean), before[0])
    assert np.abs(np.array(free.moving_mean) - before[1]).max() > 0


@pytest.mark.parametrize(("freeze", "message"), [(4, "1 to 3, or 0"), (-1, "1 to 3, or 0"), ("all", "1 to 3, or 0")])
def test_a_stage_that_does_not_exist_cannot_be_frozen(stored, freeze, message):
    with pytest.raises(ValueError, match=message):
        create("abn_resnet20", classes=5, weights=stored[0] / "abn.weights.h5", freeze=freeze)


def test_random_weights_are_not_frozen():
    with pytest.raises(ValueError, match="freeze keeps weights as they are: give weights="):
        create("resnet20", freeze=1)


# ---------------------------------------------------------------- files that mean harm


def archive(path, content):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("config.json", '{"module": "os", "class_name": "system", "config": {"command": "exit"}}')
        file.writestr("model.weights.h5", content)
    return path


def test_a_zip_bomb_in_a_keras_file_is_not_unpacked(tmp_path):
    path = archive(tmp_path / "bomb.keras", bytes(96 << 20))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(ValueError, match="swells to more than 80 MB and was not loaded"):
        create("resnet20", weights=path)


def test_the_configuration_in_a_keras_file_is_not_read(stored, tmp_path):
    folder, _ = stored
    path = archive(tmp_path / "evil.keras", (folder / "abn.weights.h5").read_bytes())
    create("abn_resnet20", classes=5, weights=path)  # os.system was never imported from the file


def test_a_weights_file_that_points_elsewhere_is_refused(stored, tmp_path):
    folder, _ = stored
    shutil.copy(folder / "abn.weights.h5", tmp_path / "a.weights.h5")
    with h5py.File(tmp_path / "a.weights.h5", "r+") as file:
        del file["layers/dense/vars/0"]
        file["layers/dense/vars/0"] = h5py.ExternalLink("/etc/passwd", "/")
    with pytest.raises(ValueError, match="holds a link in place of data"):
        create("abn_resnet20", classes=5, weights=tmp_path / "a.weights.h5")


# ---------------------------------------------------------------- tags


@pytest.fixture
def published(monkeypatch, tmp_path):
    """A manifest of one row, whose file comes with the package."""
    path = save_weights(create("resnet20", shortcut="A", classes=4), tmp_path / "r.weights.h5", half=True)
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
    model = create("resnet20", weights=tag)
    assert model.output_shape == (None, 4) and "stage2_block1_shortcut" not in [layer.name for layer in model.layers]
    np.testing.assert_allclose(model.get_layer("normalise").offset, [-0.2, -0.4, -0.6], rtol=1e-6)
    other = create("resnet20", weights=tag, mean=(0.5, 0.5, 0.5), classes=9)
    assert other.output_shape == (None, 9)
    np.testing.assert_allclose(other.get_layer("normalise").offset, [-1, -1, -1], rtol=1e-6)


def test_options_that_contradict_the_tag_are_an_error(published):
    with pytest.raises(ValueError, match=r"are of a network with shortcut='A'. Received: shortcut='B'"):
        create("resnet20", weights="cifar10", shortcut="B")


def test_an_unknown_tag_lists_what_exists(published):
    with pytest.raises(ValueError, match=r"'cifar100' does not exist for resnet20; published: cifar10\.kattn"):
        create("resnet20", weights="cifar100")


# ---------------------------------------------------------------- for ever

GOLDEN = DATA / "weights"


def test_files_of_this_version_load_for_ever():
    """Written when this format was new, and not to be written again: a version that cannot read it breaks its users."""
    want = np.load(GOLDEN / "cbam_resnet20.npz")
    model = create("cbam_resnet20", weights=GOLDEN / "cbam_resnet20.weights.h5")
    np.testing.assert_allclose(np.asarray(model(want["image"].astype("float32"))), want["predictions"], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_files_load_on_other_backends(backend):
    pytest.importorskip(backend)
    code = f"""
import numpy as np
from kattn.zoo import create
want = np.load({str(GOLDEN / "cbam_resnet20.npz")!r})
model = create("cbam_resnet20", weights={str(GOLDEN / "cbam_resnet20.weights.h5")!r})
got = model.predict(want["image"].astype("float32"), verbose=0)
assert np.abs(got - want["predictions"]).max() < 1e-5
"""
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"KERAS_BACKEND": backend}, check=True)
