"""Good files of pictures, weights and models to damage, and how each is read."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any


def tiny_model():
    import keras

    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu")(inputs)
    x = keras.layers.Dense(2, activation="softmax")(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, x, name="tiny")


def make_images(folder):
    from support.image_files import forms

    files = []
    for name, content in forms().items():
        if len(content) < 20_000:
            (folder / name).write_bytes(content)
            files.append(folder / name)
    return files[0], files


def read_image_file(path):
    from kattn.data.images import read_image

    return read_image(path, (16, 16))


ARRAYS = "a.weight", "a.bias"


def _arrays():
    import numpy as np

    return dict(zip(ARRAYS, (np.arange(64, dtype="float32").reshape(8, 8), np.zeros(8, "float32")), strict=True))


def make_npz(folder):
    import numpy as np

    np.savez_compressed(folder / "a.npz", **_arrays())
    return folder / "a.npz", [folder / "a.npz"]


def make_safetensors(folder):
    from safetensors.numpy import save_file

    save_file(_arrays(), folder / "a.safetensors")
    return folder / "a.safetensors", [folder / "a.safetensors"]


def make_torch(folder):
    import torch

    torch.save({name: torch.from_numpy(array) for name, array in _arrays().items()}, folder / "a.pth")
    return folder / "a.pth", [folder / "a.pth"]


def make_h5(folder):
    import h5py

    with h5py.File(folder / "a.h5", "w") as file:
        file.attrs["layer_names"] = [b"a"]
        file.create_group("a").attrs["weight_names"] = [b"a/kernel:0", b"a/bias:0"]
        for name, array in zip(("kernel", "bias"), _arrays().values(), strict=True):
            file[f"a/a/{name}:0"] = array
    return folder / "a.h5", [folder / "a.h5"]


def read_tensors(path):
    from kattn.zoo.weights.files.foreign_files import open_tensors

    with open_tensors(path) as tensors:
        for name in tensors.shapes:
            tensors.read(name)


_networks: list[Any] = []


def make_weights(folder):
    from kattn.zoo import save_weights

    _networks[:] = [tiny_model()]
    about = {"model": "resnet20", "options": {"classes": 2, "input_shape": [8, 8, 3]}}
    save_weights(_networks[0], folder / "a.weights.h5", about=about)
    return folder / "a.weights.h5", [folder / "a.weights.h5"]


def read_weights(path):
    from kattn.zoo.weights.finding import find_weights
    from kattn.zoo.weights.loading import load_weights

    load_weights(_networks[0], find_weights(str(path), "resnet20"), "resnet20")


def make_keras(folder):
    from kattn.hdf5 import write_model

    write_model(tiny_model(), folder / "a.keras")
    return folder / "a.keras", [folder / "a.keras"]


def read_keras_file(path):
    from kattn.runs.opening import load_keras

    load_keras(path)


def make_onnx(folder):
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("image", ["batch", 8, 8, 3]), ("predictions", ["batch", 2]))
    ]
    rng = np.random.default_rng(0)
    tensors = {
        "kernel": rng.normal(size=(4, 3, 3, 3)).astype("float32"),
        "weights": rng.normal(size=(4, 2)).astype("float32"),
        "shape": np.array([-1, 4], "int64"),
    }
    nodes = [
        helper.make_node("Transpose", ["image"], ["x"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["x", "kernel"], ["y"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["y"], ["z"]),
        helper.make_node("GlobalAveragePool", ["z"], ["p"]),
        helper.make_node("Reshape", ["p", "shape"], ["f"]),
        helper.make_node("MatMul", ["f", "weights"], ["m"]),
        helper.make_node("Softmax", ["m"], ["predictions"]),
    ]
    initializers = [numpy_helper.from_array(array, name) for name, array in tensors.items()]
    graph = helper.make_graph(nodes, "tiny", values[:1], values[1:], initializer=initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.save(model, folder / "a.onnx")
    return folder / "a.onnx", [folder / "a.onnx"]


def make_tflite(folder):
    """A convolution, a mean and a softmax of (1, 8, 8, 3), as TensorFlow's converter wrote them."""
    tiny = Path(__file__).parents[1] / "data" / "tiny.tflite"
    (folder / "a.tflite").write_bytes(tiny.read_bytes())
    return folder / "a.tflite", [folder / "a.tflite"]


def run_artefact(path):
    """Open an artefact and run it, as kattn.evaluate does."""
    import numpy as np

    from kattn.evaluation.predictors import open_predictor

    predictor = open_predictor(path)
    size = predictor.image_size or (8, 8)
    images = np.zeros((2, *(min(side, 64) for side in size), predictor.channels or 3), "uint8")
    for _ in predictor.run(images, 2):
        pass


def make_saved_model(folder):
    import tensorflow as tf

    class Module(tf.Module):
        def __init__(self):
            self.scale = tf.Variable([2.0, 3.0])

        @tf.function(input_signature=[tf.TensorSpec((None, 8, 8, 2), tf.float32, name="image")])
        def __call__(self, image):
            return {"predictions": tf.nn.softmax(self.scale * tf.reduce_mean(image, axis=(1, 2)))}

    module = Module()
    tf.saved_model.save(module, str(folder / "m"), signatures={"serving_default": module.__call__})
    return folder / "m", [folder / "m" / "saved_model.pb"] * 3 + [*(folder / "m" / "variables").iterdir()]


FACTS = {
    "value_range": [0, 1],
    "resize": "crop",
    "interpolation": "bicubic",
    "labels": ["a", "b"],
    "kinds": {"predictions": "classes"},
    "scores": ["predictions"],
    "preprocess": "f",
    "origins": {"labels": "stated"},
}


def make_facts(folder):
    make_onnx(folder)
    (folder / "facts.json").write_text(json.dumps(FACTS))
    return folder / "a.onnx", [folder / "facts.json"]


def describe(path):
    """Describe an artefact by the certificate beside it, whose hashes are right."""
    from kattn.export.formats import load
    from kattn.export.proof.report import sha256_of, size_of

    facts = path.with_name("facts.json").read_text(errors="replace")
    with contextlib.suppress(ValueError):
        facts = json.loads(facts)
    certificate = {"bytes": size_of(path), "sha256": sha256_of(path), "facts": facts}
    path.with_name("a.onnx.json").write_text(json.dumps(certificate))
    return load(path).description
