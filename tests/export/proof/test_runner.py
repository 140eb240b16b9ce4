"""Artefacts of all formats behind one call, and what no runtime should be handed."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from kattn.export import ExportInputError, load

every_kind = pytest.mark.parametrize("name", ["m", "m.tflite", "m.onnx", "m.keras"])


@every_kind
def test_every_format_runs_behind_one_call(artefacts, model, images, name):
    runner = load(artefacts / name)
    assert runner.shape == (16, 16, 3) and runner.outputs == ("predictions",)
    expected = model.predict(images.astype("float32"), verbose=0)
    for given in (images, images.astype("float64"), list(images)):
        np.testing.assert_allclose(runner(given, batch_size=7)["predictions"], expected, atol=1e-5)


@every_kind
@pytest.mark.parametrize("wrong", [np.zeros((2, 8, 8, 3)), np.zeros((16, 16, 3)), np.zeros((0, 16, 16, 3)), "images"])
def test_images_of_another_shape_are_refused(artefacts, name, wrong):
    with pytest.raises(ExportInputError, match=r"takes images of shape \(any number, 16, 16, 3\)"):
        load(artefacts / name)(wrong)


@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 0.99])
@pytest.mark.parametrize("name", ["m.onnx", "m.tflite", "m.keras", "m/saved_model.pb", "m/variables/variables.index"])
def test_a_damaged_artefact_is_refused(artefacts, name, part, tmp_path):
    artefact = tmp_path / name.split("/")[0]
    if "/" in name:
        shutil.copytree(artefacts / "m", artefact)
    content = (artefacts / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(len(content) * part)])
    with pytest.raises(ExportInputError, match=r"m.* is not a readable .* (artefact|file): ") as caught:
        load(artefact)
    assert str(caught.value).startswith(str(artefact)) and len(str(caught.value)) < 600


def test_what_is_no_artefact_is_named(tmp_path):
    (tmp_path / "m.pth").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    for name, said in {
        "missing.onnx": "There is no artefact",
        "m.pth": r"Known: a folder with saved_model\.pb, \.tflite, \.onnx, \.keras",
        "folder": r"Known: a folder with saved_model\.pb",
    }.items():
        with pytest.raises(ExportInputError, match=said):
            load(tmp_path / name)
