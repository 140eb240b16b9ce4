"""A MaxPool does its padding itself where that changes no number; and what 8 bits leave in float at the entrance."""

from __future__ import annotations

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.models import pixels, randomise

import kattn.export
from kattn.export.to_onnx.padding import absorb_padding

SHAPE = ["batch", 3, 9, 8]


def graph(before, pads=(0, 0, 1, 2, 0, 0, 0, 1), value=0.0, kernel=(3, 3), **options):
    """x -> before -> Pad -> MaxPool -> y."""
    constants = [
        numpy_helper.from_array(np.array(pads, "int64"), "pads"),
        numpy_helper.from_array(np.array(value, "float32"), "value"),
        numpy_helper.from_array(np.array(options.pop("least", 0.0), "float32"), "least"),
    ]
    mode = options.pop("mode", "constant")
    nodes = [
        helper.make_node(before, ["x", "least"] if before == "Clip" else ["x"], ["r"]),
        helper.make_node("Pad", ["r", "pads", "value"], ["p"], mode=mode),
        helper.make_node("MaxPool", ["p"], ["y"], kernel_shape=kernel, **options),
    ]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", "channels", "height", "width"])]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)]
    body = helper.make_graph(nodes, "g", inputs, outputs, constants)
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run(model):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": np.random.default_rng(0).standard_normal((2, *SHAPE[1:])).astype("float32")})[0]


@pytest.mark.parametrize(
    "model",
    [
        lambda: graph("Relu", strides=(2, 2)),
        lambda: graph("Clip", kernel=(3, 4), pads=(0, 0, 2, 3, 0, 0, 1, 0)),
        lambda: graph("Relu", strides=(2, 1), pads=(0, 0, 1, 1, 0, 0, 1, 1), ceil_mode=1),
        lambda: graph("Relu", auto_pad="VALID"),
    ],
)
def test_the_same_numbers_without_a_pad(model):
    exact = run(model())
    changed = absorb_padding(model())
    onnx.checker.check_model(changed, full_check=True)
    assert [node.op_type for node in changed.graph.node][1:] == ["MaxPool"]
    assert not {"pads", "value"} & {tensor.name for tensor in changed.graph.initializer}
    np.testing.assert_array_equal(run(changed), exact)


@pytest.mark.parametrize(
    "model",
    [
        lambda: graph("Neg"),  # a zero may be the highest
        lambda: graph("Clip", least=-1.0),
        lambda: graph("Relu", value=1.0),
        lambda: graph("Relu", mode="reflect"),
        lambda: graph("Relu", pads=(0, 1, 0, 0, 0, 0, 0, 0)),  # channels
        lambda: graph("Relu", pads=(0, 0, 3, 0, 0, 0, 0, 0)),  # a window of nothing but padding
        lambda: graph("Relu", pads=(0, 0, -1, 0, 0, 0, 0, 0)),  # cut away
        lambda: graph("Relu", auto_pad="SAME_UPPER"),
    ],
)
def test_where_it_would_change_something_it_stays(model):
    assert absorb_padding(model()) == model()


def network(kernel):
    image = keras.Input((20, 20, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1)(image)
    x = keras.layers.ReLU()(keras.layers.Conv2D(8, kernel, padding="same", name="stem")(x))
    x = keras.layers.MaxPooling2D(3, strides=2)(keras.layers.ZeroPadding2D(1)(x))
    x = keras.layers.Conv2D(8, 3, name="second")(x)
    model = keras.Model(image, keras.layers.Dense(4, activation="softmax")(keras.layers.GlobalAveragePooling2D()(x)))
    randomise(model, seed=3)
    return model


@pytest.mark.parametrize(
    ("kernel", "layout"),
    [(3, "nhwc"), (5, "nchw"), *(pytest.param(*case, marks=pytest.mark.slow) for case in ((3, "nchw"), (5, "nhwc")))],
)
def test_the_entrance_in_eight_bits(kernel, layout, tmp_path):
    """The image is normalised in floating point; a stem of 27 products is left there, one of 75 is not."""
    images = pixels((16, 20, 20, 3))
    report = kattn.export.onnx(
        network(kernel), tmp_path / "m.onnx", precision="int8", calibration=images, layout=layout, min_agreement=0
    )
    assert "Pad" not in report.ops and report.max_abs_diff <= 0.05
    nodes = onnx.load(tmp_path / "m.onnx").graph.node
    makers = {name: node.op_type for node in nodes for name in node.output}
    convolutions = [node for node in nodes if node.op_type == "Conv"]
    exact = [node.name for node in convolutions if makers[node.input[0]] != "DequantizeLinear"]
    assert len(convolutions) == 2 and len(exact) == (kernel == 3) and all("stem" in name for name in exact)
    normalising = [node for node in nodes if node.op_type in ("Mul", "Add") and "rescaling" in node.name]
    assert normalising and all(makers.get(name) != "DequantizeLinear" for node in normalising for name in node.input)
