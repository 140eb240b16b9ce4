"""The code of the pages on servers and phones answers as the model does."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import urllib.error
import urllib.request

import numpy as np
import pytest
from PIL import Image
from support.pages import PAGES, blocks_of
from support.small_models import build, coloured, train

from kattn.evaluation.predicting import predict
from kattn.export import onnx, tflite


@pytest.fixture(scope="module")
def model():
    return train(build())


def post(url, content):
    with urllib.request.urlopen(urllib.request.Request(url, data=content), timeout=30) as answer:
        return json.load(answer)


def test_the_server_answers_as_kattn_predict_does(model, tmp_path):
    onnx(model, tmp_path / "model.onnx")
    (server,) = [block for block in blocks_of(PAGES["server.md"]) if block.name == "server.py"]
    (tmp_path / server.name).write_text(server.text)
    picture = io.BytesIO()
    wide = np.kron(coloured(1)[0][0], np.ones((3, 5, 1), "uint8"))  # is scaled down, and its sides are cut off
    Image.fromarray(wide).save(picture, "png")
    (tmp_path / "wide.png").write_bytes(picture.getvalue())
    command = [sys.executable, str(tmp_path / server.name), str(tmp_path / "model.onnx"), "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        answer = post(url, picture.getvalue())
        for content, status in ((b"no picture", 400), (b"", 413)):
            with pytest.raises(urllib.error.HTTPError) as refused:
                post(url, content)
            with refused.value as error:
                assert error.code == status and "picture" in json.load(error)["error"]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    (expected,) = predict(tmp_path / "model.onnx", [tmp_path / "wide.png"])
    assert [row["class"] for row in answer] == list(np.argsort(expected.values)[::-1])
    np.testing.assert_allclose([row["probability"] for row in answer], np.sort(expected.values)[::-1], atol=1e-3)


def test_a_phones_steps_give_the_models_probabilities(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images = coloured(24, seed=1)[0]
    *_, steps = [block.text for block in blocks_of(PAGES["android.md"]) if block.language == "python"]
    (written,) = {line.split('"')[1] for line in steps.splitlines() if ".tflite" in line}
    tflite(model, written, precision="int8", io_type="uint8", calibration=images)
    names = {"picture": images[3]}
    exec(compile(steps, "android.md", "exec"), names)
    expected = model.predict(images[3:4].astype("float32"), verbose=0)[0]
    np.testing.assert_allclose(names["probabilities"], expected, atol=0.1)
