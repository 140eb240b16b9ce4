"""Explanations need no TensorFlow: they are the same on JAX and torch."""

import importlib.util
import subprocess
import sys

import numpy as np
import pytest

CODE = """
import os, sys
os.environ["KERAS_BACKEND"] = {backend!r}
import keras, numpy as np
import kattn.layers as kl
from kattn import explain
from keras import layers

rng = np.random.default_rng(0)
x = keras.Input((8, 8, 3), name="image")
y = layers.Conv2D(6, 3, activation="relu", name="first")(x)
y = kl.NonLocal(name="nl")(kl.CBAM(reduction=2, name="cbam")(y))
y = layers.Conv2D(5, 3, activation="relu", name="last")(y)
model = keras.Model(x, layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(y)))
model.set_weights([rng.standard_normal(w.shape) ** 2 / 4 for w in model.get_weights()])
images = rng.uniform(0, 2, (7, 8, 8, 3)).astype("float32")
data = ((images * 100).astype("uint8"), np.arange(7) % 3)
np.savez(
    {out!r},
    cam=explain.cam(model, images),
    grad_cam=explain.grad_cam(model, images, layer="first"),
    plus_plus=explain.grad_cam_plus_plus(model, images, layer="first", batch_size=3),
    selectivity=explain.class_selectivity(model, data, batch_size=4)["last"],
    gates=explain.gate_statistics(model, data, batch_size=4).means["cbam:channels"],
    correlations=explain.channel_correlations(model, data, layers="last", batch_size=4)["last"],
    deletion=explain.deletion_insertion(model, images, explain.cam(model, images), steps=3).deletion,
    with_attention=np.asarray(keras.ops.convert_to_numpy(explain.with_attention(model)(images)["attention_map"])),
    **explain.attention(model, images, query=(2, 3)),
)
"""
BACKENDS = [name for name in ("tensorflow", "jax", "torch") if importlib.util.find_spec(name)]


@pytest.mark.slow
def test_every_backend_gives_the_same_numbers(tmp_path):
    assert len(BACKENDS) > 1, "the dev extra brings JAX"
    found = {}
    for backend in BACKENDS:
        out = tmp_path / f"{backend}.npz"
        code = CODE.format(backend=backend, out=str(out))
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        found[backend] = dict(np.load(out))
    first, *others = found.values()
    assert {"cam", "grad_cam", "nl", "cbam"} <= set(first)
    for other in others:
        for name, values in first.items():
            np.testing.assert_allclose(other[name], values, atol=2e-4, err_msg=name)
