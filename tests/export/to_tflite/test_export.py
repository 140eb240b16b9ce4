"""TFLite at every precision: right, named, fit for a phone."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.small_models import SIZE, build

from kattn.export import ExportError, ExportInputError, load, tflite
from kattn.export.to_tflite.graph import read_tflite

LARGEST = {"float32": 1e-5, "float16": 1e-2, "dynamic": 0.05, "int16": 0.02, "int8": 0.1}


@pytest.fixture(scope="module")
def exported(model, images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tflite")
    return {
        precision: tflite(model, folder / f"{precision}.tflite", precision=precision, calibration=images)
        for precision in LARGEST
    }


@pytest.mark.parametrize("precision", LARGEST)
def test_it_computes_what_the_model_computes(exported, model, images, precision):
    report = exported[precision]
    assert report.max_abs_diff <= LARGEST[precision] and report.top1_agreement >= 0.95
    expected = model.predict(images.astype("float32"), verbose=0)
    got = load(report.path)(images)["predictions"]
    assert np.abs(got - expected).max() <= LARGEST[precision]


@pytest.mark.parametrize("precision", LARGEST)
def test_only_builtins_of_rank_four_with_known_shapes(exported, precision):
    graph = read_tflite(exported[precision].path)
    assert not [name for name in graph.histogram if name.startswith(("Flex", "CUSTOM"))]
    assert graph.highest_rank <= 4
    assert not {"SHAPE", "GATHER", "PACK", "STRIDED_SLICE"} & set(graph.histogram)
    assert {"operators", "dimensions", "shapes"} <= set(exported[precision].checks)


@pytest.mark.parametrize("precision", LARGEST)
def test_tensors_are_called_image_and_predictions(exported, precision):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=exported[precision].path)
    assert [d["name"] for d in interpreter.get_input_details()] == ["image"]
    assert [d["name"] for d in interpreter.get_output_details()] == ["predictions"]
    assert interpreter.get_signature_list() == {"serving_default": {"inputs": ["image"], "outputs": ["predictions"]}}


def test_integers_throughout_at_int8(exported):
    graph = read_tflite(exported["int8"].path)
    types = {tensor.dtype for operator in graph.operators for tensor in (*operator.inputs, *operator.outputs)}
    assert types == {"INT8", "INT32"}
    assert exported["int8"].inputs["image"]["dtype"] == "int8"


def test_the_input_takes_every_pixel_value_at_int8(exported):
    quantised = exported["int8"].inputs["image"]
    assert quantised["scale"] == pytest.approx(1.0) and quantised["zero_point"] == -128


@pytest.mark.parametrize(("precision", "share"), [pytest.param("float16", 0.6, marks=pytest.mark.slow), ("int8", 0.45)])
def test_smaller_precisions_are_smaller(precision, share, tmp_path, images):
    wide = build(convolution=keras.layers.Conv2D(256, 3, padding="same", name="conv2"))
    exact, small = (
        tflite(wide, tmp_path / "m.tflite", precision=name, calibration=images, min_agreement=0).bytes
        for name in ("float32", precision)
    )
    assert small < share * exact


@pytest.mark.parametrize("io_type", ["uint8", pytest.param("float32", marks=pytest.mark.slow)])
def test_other_inputs_at_int8(model, images, tmp_path, io_type):
    report = tflite(model, tmp_path / "m.tflite", precision="int8", calibration=images, io_type=io_type)
    assert report.inputs["image"]["dtype"] == report.outputs["predictions"]["dtype"] == io_type
    assert report.top1_agreement >= 0.95


def test_an_open_batch_and_a_fixed_one(model, images, tmp_path):
    expected = model.predict(images.astype("float32"), verbose=0)
    for batch in (None, 3):
        tflite(model, tmp_path / "m.tflite", batch=batch)
        runner = load(tmp_path / "m.tflite")
        assert runner.batch == batch
        np.testing.assert_allclose(runner(images[:7])["predictions"], expected[:7], atol=1e-5)


@pytest.mark.parametrize("batch", [pytest.param(None, marks=pytest.mark.slow), 5])
def test_other_batches_at_int8(model, images, tmp_path, batch):
    tflite(model, tmp_path / "m.tflite", precision="int8", calibration=images[:12], batch=batch)
    runner = load(tmp_path / "m.tflite")
    expected = model.predict(images.astype("float32"), verbose=0)
    assert np.abs(runner(images)["predictions"] - expected).max() <= 0.1


def test_a_map_beside_the_prediction(with_map, images, tmp_path):
    report = tflite(with_map, tmp_path / "m.tflite", outputs="all", precision="int8", calibration=images)
    assert set(report.outputs) == {"predictions", "attention_map"}
    assert load(tmp_path / "m.tflite")(images)["attention_map"].shape == (len(images), 8, 8, 1)


def test_units_that_no_image_wakes_do_not_break_int8(images, tmp_path):
    model = build()
    gate = model.get_layer("gate").reduce
    gate.bias.assign(np.full(gate.bias.shape, -100.0, "float32"))
    model.get_layer("gate").expand.bias.assign(np.linspace(-1, 1, 8, dtype="float32"))
    report = tflite(model, tmp_path / "m.tflite", precision="int8", calibration=images)
    assert report.max_abs_diff <= 0.1
    assert any("no calibration image woke" in warning and "gate" in warning for warning in report.warnings)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"precision": "int4"}, "float32, float16, dynamic, int16, int8"),
        ({"precision": "int8"}, "No calibration images were given"),
        ({"precision": "float16", "io_type": "uint8"}, "io_type at float16 must be one of float32"),
        ({"batch": 0}, "batch must be a positive number"),
        ({"calibration_method": "entropy"}, "calibration_method must be one of percentile, minmax"),
    ],
)
def test_wrong_arguments_are_named(model, tmp_path, nothing_left, arguments, said):
    with pytest.raises(ExportInputError, match=said):
        tflite(model, tmp_path / "m.tflite", **arguments)
    nothing_left()


def test_a_layer_without_an_operator_is_named(tmp_path, nothing_left):
    class Odd(keras.layers.Layer):
        def call(self, x):
            return x * tf.linalg.det(x[:, :3, :3, 0])[:, None, None, None]

    image = keras.Input((4, 4, 3))
    model = keras.Model(image, Odd(name="odd_layer")(keras.layers.Dense(3, name="before")(image)))
    with pytest.raises(ExportError, match=r"no operator for MatrixDeterminant \(layers: odd_layer\)"):
        tflite(model, tmp_path / "m.tflite")
    nothing_left()


def test_five_dimensions_are_refused_unless_allowed(tmp_path, nothing_left):
    image = keras.Input((4, 4, 4))
    y = keras.layers.Reshape((4, 4, 2, 2), name="five")(image)
    y = keras.layers.Lambda(lambda t: keras.ops.flip(t, axis=-1), name="turn")(y)
    model = keras.Model(image, keras.layers.Flatten()(y))
    with pytest.raises(ExportError, match=r"more than 4 dimensions.*strict=False"):
        tflite(model, tmp_path / "m.tflite")
    nothing_left()
    report = tflite(model, tmp_path / "m.tflite", strict=False)
    assert any("more than 4 dimensions" in warning for warning in report.warnings)
    assert "dimensions" not in report.checks


def test_constant_positions_are_fine_and_computed_ones_are_refused(tmp_path):
    class Fixed(keras.layers.Layer):
        def call(self, x):
            return tf.gather(x, [2, 0], axis=1)

    class Picked(keras.layers.Layer):
        def call(self, x):
            return tf.gather(x, tf.cast(x[0, :2, 0, 0] > -1e9, tf.int32), axis=1)

    image = keras.Input((SIZE, SIZE, 3))
    fixed = keras.Model(image, Fixed(name="fixed")(image))
    assert tflite(fixed, tmp_path / "fixed.tflite").ops["GATHER"] == 1
    model = keras.Model(image, Picked(name="picker")(image))
    with pytest.raises(ExportError, match=r"GATHER.*picker.*strict=False"):
        tflite(model, tmp_path / "m.tflite")
    assert tflite(model, tmp_path / "m.tflite", allow=["GATHER"]).ops["GATHER"] == 1


def test_layers_left_in_floating_point(model, images, tmp_path):
    report = tflite(model, tmp_path / "m.tflite", precision="int8", calibration=images, float_layers=["gat*"])
    kept = [
        operator for operator in read_tflite(tmp_path / "m.tflite").operators if operator.outputs[0].dtype == "FLOAT32"
    ]
    assert {"LOGISTIC", "DEQUANTIZE"} <= {operator.name for operator in kept} and len(kept) < 8
    assert report.top1_agreement >= 0.95
    with pytest.raises(ExportInputError, match=r"no layer named gats\. Closest: gate"):
        tflite(model, tmp_path / "m.tflite", precision="int8", calibration=images, float_layers=["gats"])


def test_the_report_says_where_eight_bits_lose_accuracy(exported):
    rows = exported["int8"].layers
    assert 0 < len(rows) <= 6
    worst = [row for row in rows if row["found"] == "among the worst"]
    assert [row["added"] for row in worst] == sorted((row["added"] for row in worst), reverse=True)
    assert {"conv1", "relu1", "conv2", "gate", "pool", "classify", "normalise", "predictions"} >= {
        r["layer"] for r in rows
    }
    assert exported["float32"].layers == []


def test_an_agreement_that_is_not_met_names_layers(model, images, tmp_path, nothing_left, monkeypatch):
    from kattn.export.source import model as source

    exact = source.run_keras
    monkeypatch.setattr(source, "run_keras", lambda *a: {k: v[:, ::-1] for k, v in exact(*a).items()})
    with pytest.raises(
        ExportError, match=r"on which the model is sure; 80\.0% is asked for.*Error is added by: \w+ in"
    ):
        tflite(model, tmp_path / "m.tflite", precision="int8", calibration=images)
    nothing_left()


def test_delegates_are_told_apart(exported):
    as_float, as_integers = exported["float32"].delegates, exported["int8"].delegates
    assert as_float["XNNPACK"]["takes"] == "all" and as_float["XNNPACK"]["left"] == {}
    assert as_integers["XNNPACK"]["takes"] == "a part" and "SOFTMAX" in as_integers["XNNPACK"]["left"]
    assert as_float["Edge TPU"]["takes"] == "none" and as_integers["Edge TPU"]["takes"] == "all"
    assert as_integers["Core ML"]["takes"] == "none" and as_float["GPU (OpenCL, OpenGL, Metal)"]["takes"] == "all"
    assert all(entry["source"] for entry in as_float.values())


def test_operators_without_a_16_bit_kernel_are_named(images, tmp_path, nothing_left):
    image = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Conv2D(4, 3, name="conv")(image)
    x = keras.layers.Activation("hard_swish", name="first")(x)
    x = keras.layers.ReLU()(keras.layers.Conv2D(4, 3)(x))
    x = keras.layers.Conv2D(4, 3)(x)
    model = keras.Model(image, keras.layers.Activation("hard_swish", name="second")(x))
    said = r'no 16-bit HARD_SWISH \(layers: first, second\)\. Take precision="int8" or "float16"'
    with pytest.raises(ExportError, match=said):
        tflite(model, tmp_path / "m.tflite", precision="int16", calibration=images)
    nothing_left()
