"""ONNX: right, tidy, in either layout, at every precision."""

from __future__ import annotations

import gc

import keras
import numpy as np
import onnx as onnx_package
import pytest
import tensorflow as tf
from support.models import randomise
from support.small_models import SIZE, build

from kattn.export import ExportError, ExportInputError, load, onnx, saved_model, tflite
from kattn.layers import EfficientChannelAttention, GlobalContext, NonLocal

slow = pytest.mark.slow
CLEAN = {"BatchNormalization", "Shape", "Gather", "Cast", "Reshape"}


@pytest.mark.parametrize(
    ("layout", "batch"),
    [("nhwc", None), ("nchw", 2), *(pytest.param(*case, marks=slow) for case in (("nhwc", 2), ("nchw", None)))],
)
def test_it_computes_what_the_model_computes(model, images, tmp_path, layout, batch):
    report = onnx(model, tmp_path / "m.onnx", layout=layout, batch=batch)
    assert report.max_abs_diff <= 1e-5 and report.top1_agreement == 1.0
    assert not CLEAN & set(report.ops)
    assert report.ops.get("Transpose", 0) == (layout == "nhwc")
    shape = [batch or "batch", *((SIZE, SIZE, 3) if layout == "nhwc" else (3, SIZE, SIZE))]
    assert report.inputs == {"image": {"shape": shape, "dtype": "float"}}
    assert report.outputs["predictions"].items() >= {"shape": [batch or "batch", 5], "dtype": "float"}.items()
    runner = load(tmp_path / "m.onnx")
    expected = model.predict(images.astype("float32"), verbose=0)
    for count in (1, 5):
        np.testing.assert_allclose(runner(images[:count])["predictions"], expected[:count], atol=1e-5)


def test_the_graph_is_the_same_on_every_run(model, tmp_path):
    first, second = (onnx(model, tmp_path / name) for name in ("a.onnx", "b.onnx"))
    assert first.ops == second.ops and first.inputs == second.inputs


def test_the_exact_gelu_is_spelled_out(tmp_path):
    image = keras.Input((SIZE, SIZE, 3))
    y = keras.layers.Activation("gelu")(keras.layers.Conv2D(4, 3)(image))
    report = onnx(keras.Model(image, y), tmp_path / "m.onnx")
    assert report.ops["Erf"] == 1 and report.max_abs_diff <= 1e-4


class Table(keras.layers.Layer):
    """Adds a constant that is no weight; TensorFlow keeps one of this size outside of the graph."""

    def build(self, shape):
        self.table = keras.ops.convert_to_tensor(np.linspace(-1, 1, np.prod(shape[1:])).reshape(shape[1:]), "float32")
        self.built = True

    def call(self, x):
        return x + self.table


def normalisation(kind):
    if kind == "given":
        return keras.layers.Normalization(mean=[120.0, 115.0, 105.0], variance=[3500.0, 3400.0, 3600.0])
    layer = keras.layers.Normalization()
    layer.adapt(np.random.default_rng(0).uniform(0, 200, (8, SIZE, SIZE, 3)).astype("float32"))
    return layer


@pytest.mark.parametrize("kind", [pytest.param("given", marks=slow), "adapted", "adapted, large file"])
@pytest.mark.parametrize("layout", [pytest.param("nhwc", marks=slow), "nchw"])
def test_constants_that_layers_hold_are_no_inputs(kind, layout, images, tmp_path, monkeypatch):
    from kattn.export.to_onnx import convert as onnx_convert

    if "large" in kind:
        monkeypatch.setattr(onnx_convert, "LARGEST_FILE", 100)
    image = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Conv2D(8, 3, padding="same")(normalisation(kind)(image))
    y = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(Table()(x)))
    report = onnx(keras.Model(image, y), tmp_path / "m.onnx", layout=layout, images=images)
    saved = onnx_package.load(tmp_path / "m.onnx")
    assert [value.name for value in saved.graph.input] == ["image"] and report.max_abs_diff <= 1e-5


@pytest.mark.parametrize("kind", [pytest.param("given", marks=slow), "adapted"])
def test_constants_that_layers_hold_are_no_inputs_of_tensorflow_s_formats(kind, images, tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    image = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Conv2D(8, 3, padding="same")(normalisation(kind)(image))
    y = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(Table()(x)))
    model = keras.Model(image, y)
    assert tflite(model, tmp_path / "m.tflite", images=images).max_abs_diff <= 1e-5
    assert saved_model(model, tmp_path / "m", images=images).max_abs_diff <= 1e-5
    assert len(Interpreter(str(tmp_path / "m.tflite")).get_input_details()) == 1
    signature = tf.saved_model.load(str(tmp_path / "m")).signatures["serving_default"]
    assert list(signature.structured_input_signature[1]) == ["image"]


@pytest.mark.parametrize("frozen", [False, True])
def test_the_garbage_collector_is_left_as_it_was(model, tmp_path, frozen):
    thresholds = gc.get_threshold()
    if frozen:
        gc.freeze()
    try:
        onnx(model, tmp_path / "m.onnx")
        assert gc.get_threshold() == thresholds and (gc.get_freeze_count() > 0) == frozen
    finally:
        gc.unfreeze()


@pytest.mark.parametrize("opset", [13, pytest.param(18, marks=slow), 20])
def test_other_opsets(model, tmp_path, opset):
    report = onnx(model, tmp_path / "m.onnx", opset=opset)
    saved = onnx_package.load(tmp_path / "m.onnx")
    assert [(entry.domain, entry.version) for entry in saved.opset_import] == [("", opset)]
    assert report.ops.get("Transpose", 0) == 1 and report.max_abs_diff <= 1e-5


def test_half_precision(model, tmp_path):
    report = onnx(model, tmp_path / "m.onnx", precision="float16")
    assert report.max_abs_diff <= 1e-2
    assert report.inputs["image"]["dtype"] == "float"
    weights = onnx_package.load(tmp_path / "m.onnx").graph.initializer
    assert {w.data_type for w in weights if len(w.dims) == 4} == {onnx_package.TensorProto.FLOAT16}


@pytest.mark.parametrize("layout", [pytest.param("nhwc", marks=slow), "nchw"])
def test_eight_bits(model, images, tmp_path, layout):
    report = onnx(model, tmp_path / "m.onnx", precision="int8", calibration=images, layout=layout)
    assert report.max_abs_diff <= 0.1 and report.top1_agreement >= 0.9
    assert report.ops["QuantizeLinear"] > 4 and report.ops["DequantizeLinear"] > 8


def test_layers_left_in_floating_point(model, images, tmp_path):
    whole = onnx(model, tmp_path / "m.onnx", precision="int8", calibration=images)
    part = onnx(model, tmp_path / "m.onnx", precision="int8", calibration=images, float_layers=["gate"])
    assert part.ops["QuantizeLinear"] < whole.ops["QuantizeLinear"]
    with pytest.raises(ExportInputError, match="no_such_layer"):
        onnx(model, tmp_path / "m.onnx", precision="int8", calibration=images, float_layers=["no_such_layer"])


def test_attention_between_positions_and_along_channels_has_no_transpose(tmp_path):
    image = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Conv2D(8, 3, padding="same", name="before")(image)
    x = EfficientChannelAttention(name="eca")(NonLocal(name="nl")(x))
    model = keras.Model(image, keras.layers.Conv2D(4, 3, name="after")(x))
    randomise(model, seed=1)
    report = onnx(model, tmp_path / "m.onnx", layout="nchw")
    assert "Transpose" not in report.ops and not CLEAN - {"Reshape"} & set(report.ops)
    assert report.max_abs_diff <= 1e-4


def test_biases_that_eight_bits_would_lose_stay(tmp_path, images):
    """Behind a layer normalisation of one channel nothing moves: the context is its last convolution's bias."""
    image = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Conv2D(8, 3, name="conv")(keras.layers.Rescaling(1 / 127.5, -1)(image))
    context = GlobalContext(reduction=8, name="context")
    y = keras.layers.Softmax()(keras.layers.Dense(5)(keras.layers.GlobalAveragePooling2D()(context(x))))
    context.expand["add"].bias.assign(np.linspace(-3, 3, 8, dtype="float32"))
    report = onnx(keras.Model(image, y), tmp_path / "m.onnx", precision="int8", calibration=images, min_agreement=0)
    assert report.max_abs_diff <= 0.05
    assert any("bias" in warning and "context" in warning for warning in report.warnings)


def test_grouped_convolutions_of_keras(images, tmp_path):
    grouped = build(convolution=keras.layers.Conv2D(8, 3, groups=4, padding="same", name="grouped"))
    report = onnx(grouped, tmp_path / "m.onnx")
    assert report.max_abs_diff <= 1e-5 and report.ops["Conv"] == 4
    groups = [
        attribute.i
        for node in onnx_package.load(tmp_path / "m.onnx").graph.node
        for attribute in node.attribute
        if attribute.name == "group"
    ]
    assert 4 in groups
    assert any("grouped" in warning for warning in report.warnings)


def test_a_map_in_channels_first(with_map, images, tmp_path):
    report = onnx(with_map, tmp_path / "m.onnx", outputs="all", layout="nchw")
    assert report.outputs["attention_map"]["shape"] == ["batch", 1, 8, 8]
    got = load(tmp_path / "m.onnx")(images)["attention_map"]
    expected = with_map.predict(images.astype("float32"), verbose=0)["attention_map"]
    np.testing.assert_allclose(got, expected, atol=1e-4)


@slow
def test_a_foreign_network(tmp_path):
    foreign = keras.applications.MobileNetV2(input_shape=(32, 32, 3), weights=None, alpha=0.35, classes=7)
    report = onnx(foreign, tmp_path / "m.onnx")
    assert report.max_abs_diff <= 1e-5 and not CLEAN & set(report.ops)


def test_large_weights_go_into_a_file_of_their_own(model, images, tmp_path, monkeypatch):
    from kattn.export.to_onnx import convert as onnx_convert
    from kattn.export.to_onnx import export as to_onnx

    monkeypatch.setattr(onnx_convert, "LARGEST_FILE", 1000)
    monkeypatch.setattr(to_onnx, "LARGEST_FILE", 1000)
    wide = build(convolution=keras.layers.Conv2D(64, 3, padding="same", name="conv2"))
    report = onnx(wide, tmp_path / "m.onnx")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.onnx", "m.onnx.data", "m.onnx.json"]
    assert report.bytes == sum((tmp_path / name).stat().st_size for name in ("m.onnx", "m.onnx.data"))
    np.testing.assert_allclose(
        load(tmp_path / "m.onnx")(images)["predictions"], wide.predict(images.astype("float32"), verbose=0), atol=1e-5
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"layout": "chw"}, '"nhwc" or "nchw"'),
        ({"opset": 12}, "13 to 20"),
        ({"precision": "dynamic"}, "float32, float16, int8"),
        ({"precision": "int8"}, "No calibration images"),
        ({"batch": -1}, "batch must be"),
    ],
)
def test_wrong_arguments_are_named(model, tmp_path, nothing_left, arguments, said):
    with pytest.raises(ExportInputError, match=said):
        onnx(model, tmp_path / "m.onnx", **arguments)
    nothing_left()


@pytest.mark.parametrize(("method", "counted"), [("percentile", False), ("minmax", True)])
def test_one_calibration_image_unlike_the_others(method, counted, tmp_path):
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(8, 5, name="conv1")(keras.layers.Rescaling(1 / 64, -2)(image))
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(8, 3, name="conv2")(x)))
    randomise(model, seed=5)
    images = np.full((64, 8, 8, 3), 128.0) + np.random.default_rng(0).uniform(-9, 9, (64, 1, 1, 1))
    images[3, :, ::2], images[3, :, 1::2] = 255.0, 0.0
    images = images.astype("float32")
    onnx(model, tmp_path / "m.onnx", precision="int8", calibration=images, calibration_method=method, min_agreement=0)
    maps = keras.Model(image, x).predict(images, verbose=0)
    graph = onnx_package.load(tmp_path / "m.onnx").graph
    scales = {tensor.name: onnx_package.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    (conv,) = (node for node in graph.node if node.op_type == "Conv" and "conv1" in node.name)
    (scale,) = (
        scales[n.input[1]] for n in graph.node if n.op_type == "QuantizeLinear" and n.input[0] == conv.output[0]
    )
    assert (255 * scale >= 0.95 * np.ptp(maps)) == counted
    assert 255 * scale >= 0.95 * np.ptp(np.delete(maps, 3, axis=0))


def test_an_unknown_calibration_method_is_named(model, images, tmp_path, nothing_left):
    with pytest.raises(ExportInputError, match="percentile, minmax, entropy"):
        onnx(model, tmp_path / "m.onnx", precision="int8", calibration=images, calibration_method="best")
    nothing_left()


def test_what_tf2onnx_does_not_know_is_an_error(tmp_path, nothing_left):
    class Odd(keras.layers.Layer):
        def call(self, x):
            return tf.math.lgamma(x)

    image = keras.Input((4, 4, 3))
    with pytest.raises(ExportError, match="Lgamma"):
        onnx(keras.Model(image, Odd(name="odd")(image)), tmp_path / "m.onnx")
    nothing_left()


def test_positions_picked_at_run_time_are_refused_unless_allowed(tmp_path):
    class Fixed(keras.layers.Layer):
        def call(self, x):
            return keras.ops.take(x, [2, 0], axis=1)

    class Picked(keras.layers.Layer):
        def call(self, x):
            return keras.ops.take(x, keras.ops.cast(x[0, :2, 0, 0] > -1e9, "int32"), axis=1)

    image = keras.Input((SIZE, SIZE, 3))
    fixed = keras.Model(image, Fixed(name="fixed")(image))
    assert onnx(fixed, tmp_path / "fixed.onnx").ops["Gather"] == 1
    model = keras.Model(image, Picked(name="picker")(image))
    with pytest.raises(ExportError, match=r"Gather.*picker.*strict=False"):
        onnx(model, tmp_path / "m.onnx")
    assert onnx(model, tmp_path / "m.onnx", allow=["Gather", "Cast"]).ops["Gather"] == 1
