"""Small trained models, one for each kind of output, their images, and files that are broken on purpose."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

SIZE = 8


def painted(count: int = 96, seed: int = 0) -> np.ndarray:
    """Images of bytes whose left and right halves have colours of their own."""
    random = np.random.default_rng(seed)
    halves = random.uniform(30, 225, (count, 1, 2, 3)).repeat(SIZE, 1).repeat(SIZE // 2, 2)
    return np.clip(halves + random.normal(0, 12, halves.shape), 0, 255).astype("uint8")


def targets(images: np.ndarray) -> dict[str, np.ndarray]:
    """What a model of each kind is trained on."""
    colours = images.astype("float32") / 255
    mean = colours.mean((1, 2))
    return {
        "classes": mean.argmax(1),
        "binary": (mean[:, :1] > 0.5).astype("float32"),
        "attributes": (mean > 0.5).astype("float32"),
        "values": np.stack([10 + 5 * mean[:, 0], mean[:, 1] - mean[:, 2]], 1),
        "map": colours.argmax(-1),
    }


# Kind -> its layer, whether of the map (or of its mean), and its loss.
HEADS: dict[str, tuple[Callable[[], Any], bool, str]] = {
    "classes": (lambda: keras.layers.Dense(3, activation="softmax"), False, "sparse_categorical_crossentropy"),
    "binary": (lambda: keras.layers.Dense(1, activation="sigmoid"), False, "binary_crossentropy"),
    "attributes": (lambda: keras.layers.Dense(3, activation="sigmoid"), False, "binary_crossentropy"),
    "values": (lambda: keras.layers.Dense(2), False, "mse"),
    "map": (lambda: keras.layers.Conv2D(3, 1, activation="softmax"), True, "sparse_categorical_crossentropy"),
}


def body() -> tuple[Any, Any]:
    """An image and the map that two convolutions make of it."""
    image = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1)(image)
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    return image, keras.layers.Conv2D(8, 3, padding="same", activation="relu")(x)


def model_of(*kinds: str) -> Any:
    """A model of one output, or of a dict of outputs called by their kinds."""
    keras.utils.set_random_seed(0)
    image, x = body()
    pooled = keras.layers.GlobalAveragePooling2D()(x)
    outputs = {kind: HEADS[kind][0]()(x if HEADS[kind][1] else pooled) for kind in kinds}
    return keras.Model(image, outputs if len(kinds) > 1 else outputs[kinds[0]], name="_".join(kinds))


def trained_model() -> Any:
    """A model with an output of every kind that is trained, and the pooled map."""
    model = model_of(*HEADS)
    images = painted(256, seed=1)
    model.compile(keras.optimizers.Adam(0.02), {kind: loss for kind, (_, _, loss) in HEADS.items()})
    model.fit(images, targets(images), batch_size=32, epochs=12, verbose=0)
    (pooled,) = (layer for layer in model.layers if isinstance(layer, keras.layers.GlobalAveragePooling2D))
    return keras.Model(model.input, {**model.output, "embedding": pooled.output}, name="every_kind")


def halve(path: Path, layer: int = 0) -> None:
    """Halve the weights of one convolution or dense layer of a file in place, counted in the order of the graph."""
    {".tflite": _halve_tflite, ".onnx": _halve_onnx}[path.suffix](path, layer)


def _halve_tflite(path: Path, layer: int) -> None:
    from ai_edge_litert import schema_py_generated as schema

    content = bytearray(path.read_bytes())
    model = schema.Model.GetRootAs(content, 0)
    graph = model.Subgraphs(0)
    codes = [model.OperatorCodes(i).BuiltinCode() for i in range(model.OperatorCodesLength())]
    kinds = (schema.BuiltinOperator.CONV_2D, schema.BuiltinOperator.FULLY_CONNECTED)
    operators = [graph.Operators(i) for i in range(graph.OperatorsLength())]
    chosen = [one for one in operators if codes[one.OpcodeIndex()] in kinds][layer]
    tensor = graph.Tensors(chosen.Inputs(1))
    data = (
        model.Buffers(tensor.Buffer())
        .DataAsNumpy()
        .view("int8" if tensor.Type() == schema.TensorType.INT8 else "float32")
    )
    data[:] = (data / 2).astype(data.dtype)
    path.write_bytes(content)


def _halve_onnx(path: Path, layer: int) -> None:
    import onnx
    from onnx import numpy_helper

    model = onnx.load(path)
    weights = {one.name: one for one in model.graph.initializer}
    makers = {out: node for node in model.graph.node for out in node.output}
    nodes = [node for node in model.graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
    name = nodes[layer].input[1]
    while name not in weights:  # behind DequantizeLinear, a transposition
        name = makers[name].input[0]
    values = numpy_helper.to_array(weights[name])
    weights[name].CopyFrom(numpy_helper.from_array((values / 2).astype(values.dtype), name))
    onnx.save(model, path)
