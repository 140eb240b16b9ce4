"""SavedModel: right, named, and independent of Keras and kattn."""

from __future__ import annotations

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from support.small_models import SIZE

from kattn.export import ExportError, ExportInputError, load, saved_model
from kattn.export.proof.report import Report, sha256_of, size_of


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "deeper" / "m"
    return folder, saved_model(model, folder, signatures=("float32", "uint8", "jpeg"))


def test_it_computes_what_the_model_computes(exported, model, images):
    folder, report = exported
    assert report.max_abs_diff <= 1e-5 and report.top1_agreement == 1.0
    expected = model.predict(images.astype("float32"), verbose=0)
    np.testing.assert_allclose(load(folder)(images)["predictions"], expected, atol=1e-5)


def test_the_report_describes_the_folder(exported):
    folder, report = exported
    assert report.format == "saved_model" and report.precision == "float32"
    assert report.bytes == size_of(folder) > 1000
    assert report.sha256 == sha256_of(folder)
    assert report.inputs == {"image": {"shape": [None, SIZE, SIZE, 3], "dtype": "float32"}}
    assert list(report.outputs) == ["predictions"]
    assert report.ops["Conv2D"] == 4 and report.warnings == []
    assert {"tensorflow", "keras", "kattn", "python"} <= set(report.versions)


def test_the_report_lies_beside_it(exported):
    folder, report = exported
    assert Report.read(folder.with_name("m.json")) == report
    assert json.loads(folder.with_name("m.json").read_text())["differences"]["predictions"]["max_abs"] <= 1e-5


def test_tensorflow_alone_serves_it_with_names_bytes_and_jpeg(exported, model, images, tmp_path):
    folder, _ = exported
    np.save(tmp_path / "images.npy", images[:2])
    script = """
import sys
import numpy as np
import tensorflow as tf
images = np.load(sys.argv[2])
functions = tf.saved_model.load(sys.argv[1]).signatures
as_float = functions["serving_default"](image=tf.constant(images, "float32"))["predictions"]
as_bytes = functions["serving_uint8"](image=tf.constant(images))["predictions"]
encoded = [tf.io.encode_jpeg(image, quality=100, chroma_downsampling=False) for image in images]
as_jpeg = functions["serving_jpeg"](jpeg=tf.stack(encoded))["predictions"]
decoded = tf.stack([tf.cast(tf.io.decode_jpeg(e), "float32") for e in encoded])
assert "kattn" not in sys.modules, "TensorFlow alone was to load it"
as_decoded = functions["serving_default"](image=decoded)["predictions"]
np.save(sys.argv[3], np.stack([as_float, as_bytes, as_jpeg, as_decoded]))
"""
    subprocess.run(
        [sys.executable, "-c", script, str(folder), str(tmp_path / "images.npy"), str(tmp_path / "out.npy")], check=True
    )
    as_float, as_bytes, as_jpeg, as_decoded = np.load(tmp_path / "out.npy")
    np.testing.assert_allclose(as_float, model.predict(images[:2].astype("float32"), verbose=0), atol=1e-5)
    np.testing.assert_array_equal(as_bytes, as_float)
    np.testing.assert_allclose(as_jpeg, as_decoded, atol=1e-5)


def test_all_outputs_or_some_or_the_prediction_only(with_map, images, tmp_path):
    assert list(saved_model(with_map, tmp_path / "a").outputs) == ["predictions"]
    assert list(saved_model(with_map, tmp_path / "b", outputs=["attention_map"]).outputs) == ["attention_map"]
    report = saved_model(with_map, tmp_path / "c", outputs="all")
    assert set(report.differences) == {"predictions", "attention_map"}
    got = load(tmp_path / "c")(images)
    expected = with_map.predict(images.astype("float32"), verbose=0)
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, atol=1e-4)


def test_an_output_that_is_not_there_is_named(with_map, tmp_path):
    with pytest.raises(ExportInputError, match=r"predictions, attention_map.*outputs='logits'"):
        saved_model(with_map, tmp_path / "m", outputs="logits")


def test_a_sequential_model_and_one_of_open_size(images, tmp_path):
    layers = [keras.layers.Conv2D(4, 3), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)]
    open_size = keras.Sequential([keras.Input((None, None, 3)), *layers])
    report = saved_model(open_size, tmp_path / "m")
    assert report.inputs["image"]["shape"] == [None, None, None, 3]
    report = saved_model(open_size, tmp_path / "m", input_shape=(SIZE, SIZE, 3), images=images)
    assert report.inputs["image"]["shape"] == [None, SIZE, SIZE, 3]
    with pytest.raises(ExportInputError, match=r"\(None, None, 3\).*\(16, 16, 1\)"):
        saved_model(open_size, tmp_path / "m", input_shape=(SIZE, SIZE, 1))


def test_a_fixed_batch(model, images, tmp_path):
    saved_model(model, tmp_path / "m", batch=4)
    runner = load(tmp_path / "m")
    assert runner.batch == 4
    assert runner(images[:7])["predictions"].shape == (7, 5)


def test_an_unknown_signature_is_an_error(model, tmp_path):
    with pytest.raises(ExportInputError, match="float32, uint8, jpeg"):
        saved_model(model, tmp_path / "m", signatures=("png",))


def test_a_tolerance_that_is_not_met_leaves_nothing(model, monkeypatch, tmp_path, nothing_left):
    from kattn.export.source import model as source

    exact = source.run_keras
    monkeypatch.setattr(source, "run_keras", lambda *a: {k: v + 0.01 for k, v in exact(*a).items()})
    with pytest.raises(ExportError, match=r"differs from the Keras model by 0\.01"):
        saved_model(model, tmp_path / "m")
    nothing_left()
    saved_model(model, tmp_path / "m", tolerance=0.1)
    nothing_left("m", "m.json")
