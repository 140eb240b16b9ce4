import subprocess
import sys

import keras
import numpy as np
import pytest

from kattn.layers.pieces.grouped import WIDE, GroupedConv2D
from kattn.layers.pieces.portable import portable_graphs


def image(channels):
    return np.random.default_rng(0).standard_normal((2, 5, 4, channels)).astype("float32")


def test_behaves_as_a_layer_should(check_layer):
    check_layer(GroupedConv2D(6, 3, padding="same", groups=2), image(4))


@pytest.mark.parametrize("options", [{}, {"strides": 2}, {"dilation_rate": 2, "use_bias": False, "activation": "relu"}])
@pytest.mark.parametrize("channels", [8, 2 * WIDE])  # one convolution, and one a group
def test_is_keras_s_own_convolution(channels, options):
    options = {"padding": "same", "groups": 2, "bias_initializer": "normal"} | options
    ours, theirs = GroupedConv2D(6, 3, **options), keras.layers.Conv2D(6, 3, **options)
    x = image(channels)
    ours.build(x.shape)
    theirs.build(x.shape)
    theirs.set_weights(ours.get_weights())
    want = keras.ops.convert_to_numpy(theirs(x))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(ours(x)), want, atol=1e-5)
    with portable_graphs():
        np.testing.assert_allclose(keras.ops.convert_to_numpy(ours(x)), want, atol=1e-5)


TRAIN = """
import os, sys
os.environ["TF_ENABLE_ONEDNN_OPTS"] = sys.argv[1]
import keras, numpy as np
import kattn
layer = kattn.layers.GroupedConv2D(6, 3, padding="same", groups=2, dtype=sys.argv[2])
model = keras.Sequential([keras.Input((5, 4, 4)), layer, keras.layers.Flatten(), keras.layers.Dense(1)])
model.compile("sgd", "mse")
before = layer.get_weights()[0]
loss = model.fit(np.ones((4, 5, 4, 4)), np.ones((4, 1)), verbose=0).history["loss"]
assert np.isfinite(loss).all() and (layer.get_weights()[0] != before).any()
"""


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="The other backends do what Keras does.")
@pytest.mark.parametrize(("onednn", "dtype"), [("0", "float64"), pytest.param("1", "float64", marks=pytest.mark.slow)])
def test_it_trains_where_tensorflow_has_no_grouped_gradient(onednn, dtype):
    done = subprocess.run([sys.executable, "-c", TRAIN, onednn, dtype], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
