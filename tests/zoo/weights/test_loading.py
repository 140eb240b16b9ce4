"""Weights load strictly, or nothing does."""

import logging
import os
import shutil
import subprocess
import sys
import zipfile

import h5py
import numpy as np
import pytest
from support import DATA
from support.checkpoints import SIZE, SMALL, network
from support.models import pixels

from kattn.zoo import create


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    model = network("abn_resnet20", classes=5)
    model.save_weights(folder / "abn.weights.h5")
    model.save(folder / "abn.keras")
    return folder, model


@pytest.mark.parametrize("file", ["abn.weights.h5", "abn.keras"])
def test_a_file_gives_the_models_numbers(stored, file):
    folder, model = stored
    again = create("abn_resnet20", classes=5, **SMALL, weights=folder / file)
    x = pixels((2, *SIZE))
    np.testing.assert_array_equal(np.asarray(again(x)["predictions"]), np.asarray(model(x)["predictions"]))


def test_other_classes_keep_everything_but_the_head_and_say_so(stored, caplog):
    folder, model = stored
    with caplog.at_level(logging.WARNING, logger="kattn"):
        other = create("abn_resnet20", classes=7, **SMALL, weights=folder / "abn.weights.h5")
    assert len(caplog.records) == 1 and "attention_branch, logits" in caplog.text
    for name in ("stem_conv", "stage3_block1_conv2", "attention_stage3_block1_conv1"):
        for a, b in zip(other.get_layer(name).get_weights(), model.get_layer(name).get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
    assert other.output["predictions"].shape[-1] == 7


def test_other_channels_keep_everything_but_the_stem(stored, caplog):
    folder, model = stored
    with caplog.at_level(logging.WARNING, logger="kattn"):
        other = create(
            "abn_resnet20", classes=5, **SMALL | {"input_shape": (16, 16, 1)}, weights=folder / "abn.weights.h5"
        )
    assert "stem_conv" in caplog.text
    np.testing.assert_array_equal(
        other.get_layer("logits").get_weights()[0], model.get_layer("logits").get_weights()[0]
    )


def test_weights_of_another_model_are_refused_with_what_differs(stored):
    folder, _ = stored
    with pytest.raises(ValueError, match=r"not belong.*\n.*not in the model \(30\): layers/attention_branch"):
        create("resnet20", **SMALL, weights=folder / "abn.weights.h5")
    with pytest.raises(ValueError, match="missing in the file"):
        create("abn_resnet20", **SMALL | {"depths": (2, 1, 1)}, weights=folder / "abn.weights.h5")


def test_a_wider_twin_is_refused_by_shape(stored, tmp_path):
    network("se_resnet20", reduction=4).save_weights(tmp_path / "se.weights.h5")
    with pytest.raises(ValueError, match=r"of another shape \(\d+\): layers/squeeze_excite.*file .*, model"):
        create("se_resnet20", classes=7, reduction=8, **SMALL, weights=tmp_path / "se.weights.h5")


@pytest.mark.parametrize(
    ("name", "message"), [("a.keras", "not a .keras archive"), ("a.weights.h5", "not a readable HDF5")]
)
def test_a_broken_file_is_an_error(tmp_path, name, message):
    (tmp_path / name).write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match=message):
        create("resnet20", weights=tmp_path / name)


def test_a_model_without_its_top_takes_a_file_with_it(stored):
    folder, _ = stored
    plain = network("se_resnet20")
    plain.save_weights(folder / "se.weights.h5")
    body = create("se_resnet20", **SMALL, include_top=False, weights=folder / "se.weights.h5")
    np.testing.assert_array_equal(
        body.get_layer("stage3_block1_conv2").get_weights()[0], plain.get_layer("stage3_block1_conv2").get_weights()[0]
    )
    with pytest.raises(ValueError, match="not in the model"):
        create("resnet20", **SMALL, include_top=False, weights=folder / "se.weights.h5")


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
    create("abn_resnet20", classes=5, **SMALL, weights=path)  # os.system was never imported from the file


def test_a_weights_file_that_points_elsewhere_is_refused(stored, tmp_path):
    folder, _ = stored
    shutil.copy(folder / "abn.weights.h5", tmp_path / "a.weights.h5")
    with h5py.File(tmp_path / "a.weights.h5", "r+") as file:
        del file["layers/dense/vars/0"]
        file["layers/dense/vars/0"] = h5py.ExternalLink("/etc/passwd", "/")
    with pytest.raises(ValueError, match="holds a link in place of data"):
        create("abn_resnet20", classes=5, **SMALL, weights=tmp_path / "a.weights.h5")


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
