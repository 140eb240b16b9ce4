"""Bad input and bad luck: one clear error each, nothing half-written, nothing lost."""

from __future__ import annotations

import resource
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.small_models import SIZE, build

from kattn.export import ExportError, ExportInputError, load, onnx, pipeline, saved_model, tflite
from kattn.export.formats import Format

EXPORTS = {"m": saved_model, "m.tflite": tflite, "m.onnx": onnx}
every_format = pytest.mark.parametrize("name", EXPORTS)
# Where the formats share the code that is tested.
any_format = pytest.mark.parametrize(
    "name", ["m", *(pytest.param(name, marks=pytest.mark.slow) for name in ("m.tflite", "m.onnx"))]
)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__(name="mine")
        self.dense = keras.layers.Dense(2)

    def call(self, x):
        return self.dense(x)


def subclassed():
    model = Subclassed()
    model(np.zeros((1, 3), "float32"))
    return model


def not_built():
    return keras.Sequential([keras.layers.Dense(2)], name="fresh")


def not_finite():
    model = build()
    bias = model.get_layer("conv2").bias
    bias.assign(np.full(bias.shape, np.nan, "float32"))
    return model


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (subclassed, r"Received: Subclassed 'mine'\. Wrap a subclassed model: x = keras\.Input"),
        (not_built, r"Received: Sequential 'fresh'\. It is not built: start it with keras\.Input"),
        (not_finite, r"conv2/bias holds values that are not finite"),
        (lambda: keras.layers.Dense(2), r"needs a functional or a built Sequential Keras model.*Received: Dense"),
        (lambda: "model.keras", "Received: str"),
    ],
)
@every_format
def test_a_model_that_cannot_be_exported(make, said, name, tmp_path, nothing_left):
    with pytest.raises(ExportInputError, match=said):
        EXPORTS[name](make(), tmp_path / name)
    nothing_left()


def test_errors_are_both_value_and_runtime_errors():
    assert issubclass(ExportInputError, ValueError) and issubclass(ExportInputError, ExportError)
    assert issubclass(ExportError, RuntimeError)


@any_format
def test_an_earlier_artefact_is_replaced(model, name, tmp_path, images, nothing_left):
    if name == "m":
        (tmp_path / name).mkdir()
    (tmp_path / name / "saved_model.pb" if name == "m" else tmp_path / name).write_bytes(b"earlier")
    (tmp_path / f"{name}.json").write_bytes(b"earlier report")
    EXPORTS[name](model, tmp_path / name)
    nothing_left(name, f"{name}.json")
    expected = model.predict(images.astype("float32"), verbose=0)
    np.testing.assert_allclose(load(tmp_path / name)(images)["predictions"], expected, atol=1e-4)
    with pytest.raises(ExportInputError, match="exists and overwrite=False"):
        EXPORTS[name](model, tmp_path / name, overwrite=False)


@any_format
def test_ctrl_c_in_the_middle_leaves_nothing(model, name, monkeypatch, tmp_path, nothing_left):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(Format, "open", interrupted)
    with pytest.raises(KeyboardInterrupt):
        EXPORTS[name](model, tmp_path / "new" / "folder" / name)
    nothing_left()


@every_format
def test_a_disk_that_takes_no_more_leaves_nothing(name, tmp_path, nothing_left):
    """A real refusal of the system in the middle of a file: it allows files of 20 kB only."""
    wide = build(convolution=keras.layers.Conv2D(256, 3, padding="same", name="conv2"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(ExportError, match="Could not write") as caught:
            EXPORTS[name](wide, tmp_path / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert "Nothing was written" in str(caught.value)
    nothing_left()


@pytest.mark.parametrize(("export", "name"), [(tflite, "m.tflite"), (onnx, "m.onnx")])
@pytest.mark.parametrize(
    ("calibration", "said"),
    [
        (None, "No calibration images were given"),
        (np.zeros((0, SIZE, SIZE, 3)), "images are empty"),
        (np.zeros((4, SIZE, SIZE, 3)), "nothing but the value 0"),
        (np.ones((4, 2 * SIZE, SIZE, 3)), r"shape \(16, 16, 3\)\. Received calibration images of shape \(32, 16, 3\)"),
        (
            np.linspace(-1, 1, 4 * SIZE * SIZE * 3).reshape(4, SIZE, SIZE, 3),
            "lie between -1 and 1, and raw pixels from 0 to 255",
        ),
        (["a.jpg", "b.jpg"], "must be numbers. Received: <U5"),
    ],
)
def test_calibration_images_that_are_none(model, export, name, calibration, said, tmp_path, nothing_left):
    with pytest.raises(ExportInputError, match=said):
        export(model, tmp_path / name, precision="int8", calibration=calibration)
    nothing_left()


def test_an_operator_that_onnx_does_not_have_is_named_with_its_layer(tmp_path, nothing_left):
    class Odd(keras.layers.Layer):
        def call(self, x):
            return tf.math.lgamma(x)

    image = keras.Input((4, 4, 3))
    odd = keras.Model(image, Odd(name="odd_layer")(image))
    with pytest.raises(ExportError, match=r"ONNX has no operator for Lgamma \(layers: odd_layer\)"):
        onnx(odd, tmp_path / "m.onnx")
    nothing_left()


@any_format
def test_an_artefact_that_its_runtime_cannot_read_is_not_kept(model, name, monkeypatch, tmp_path, nothing_left):
    opened = Format.open

    def open_damaged(row, path, **_):
        files = [path] if path.is_file() else [path / "saved_model.pb"]
        files[0].write_bytes(files[0].read_bytes()[:200])
        return opened(row, path)

    monkeypatch.setattr(Format, "open", open_damaged)
    monkeypatch.setattr(pipeline, "ChildRunner", lambda row, path, _: open_damaged(row, path))
    with pytest.raises(ExportError, match="not a readable"):
        EXPORTS[name](model, tmp_path / name)
    nothing_left()


def test_another_backend_is_told_what_to_do(model, monkeypatch, tmp_path):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ExportInputError, match=r"runs on jax.*KERAS_BACKEND=tensorflow"):
        saved_model(model, tmp_path / "m")


def test_nothing_is_printed_and_no_warning_escapes(model, images, tmp_path, capfd):
    saved_model(model, tmp_path / "m")
    tflite(model, tmp_path / "m.tflite", precision="int8", calibration=images)
    onnx(model, tmp_path / "m.onnx")
    printed = capfd.readouterr()
    assert printed.out == ""
    assert [line for line in printed.err.splitlines() if "XNNPACK" not in line] == []
