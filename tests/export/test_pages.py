"""The code of the documentation's pages on servers and phones, taken from the pages and run."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kattn.export import onnx, tflite

DOCS = Path(__file__).parents[2] / "docs"


def code(page, name):
    found = re.search(rf"```python {name}\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found.group(1)


def post(url, content):
    with urllib.request.urlopen(urllib.request.Request(url, data=content), timeout=30) as answer:
        return json.load(answer)


def test_the_server_answers_as_the_model_does(model, images, tmp_path):
    onnx(model, tmp_path / "model.onnx")
    (tmp_path / "server.py").write_text(code("server.md", "server"))
    picture = io.BytesIO()
    Image.fromarray(images[0]).save(picture, "png")
    command = [sys.executable, str(tmp_path / "server.py"), str(tmp_path / "model.onnx"), "0"]
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
    expected = model.predict(images[:1].astype("float32"), verbose=0)[0]
    assert [row["class"] for row in answer] == list(np.argsort(expected)[::-1])
    np.testing.assert_allclose([row["probability"] for row in answer], np.sort(expected)[::-1], atol=1e-3)


def test_a_phones_steps_give_the_models_probabilities(model, images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tflite(model, "model.tflite", precision="int8", io_type="uint8", calibration=images)
    names = {"picture": images[3]}
    exec(compile(code("android.md", "android"), "android.md", "exec"), names)
    expected = model.predict(images[3:4].astype("float32"), verbose=0)[0]
    np.testing.assert_allclose(names["probabilities"], expected, atol=0.1)
