"""A saved layer is read by a process that has imported nothing of kattn but `kattn.layers`."""

import json
import subprocess
import sys

import numpy as np
from layer_checks import as_model, build, image, randomise, run

from kattn import layers

READER = """
import json, sys
import keras, numpy as np
import kattn.layers
for path, arrays in json.loads(sys.argv[1]).items():
    data = np.load(arrays)
    values = [data[f"x{i}"] for i in range(sum(name.startswith("x") for name in data.files))]
    outputs = keras.tree.flatten(keras.saving.load_model(path)(values[0] if len(values) == 1 else values))
    for i, y in enumerate(outputs):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(y), data[f"y{i}"], atol=1e-5, err_msg=path)
print("read", len(json.loads(sys.argv[1])))
"""

X = image(1, 6, 5, 8)
CASES = {
    "ccnet": (layers.CrissCrossHead(3, recurrence=2), X),
    "context_encoding": (layers.ContextEncoding(4, classes=3), X),
    "danet": (layers.DualAttentionHead(3), X),
    "object_context": (layers.ASPObjectContext(4, dilations=(2,), scales=(1, 2)), X),
    "object_context_pyramid": (layers.PyramidObjectContext(4, tiles=(1, 3)), X),
    "psa": (layers.PointwiseSpatialAttention(4, mask_size=(3, 5)), X),
    "c3": (layers.CrossChannelCommunication(size=(3, 4), large_maps="patches"), X),
    "eca": (layers.EfficientChannelAttention(return_attention=True), X),
    "ge": (layers.GatherExcite("theta_plus", 4), X),
    "nl": (layers.NonLocal("concatenation"), X),
    "ran": (layers.ResidualAttention(1, "channel"), X),
    "sk": (layers.SelectiveKernel(8, 2, groups=4, min_hidden=4), X),
    "snl": (layers.SimplifiedNonLocal(), X),
    "splat": (layers.SplitAttention(8, 2, groups=2, min_hidden=4), X),
    "stn": (layers.SpatialTransformer(4, size=(3, 7)), X),
    "stn_sampler": (layers.SpatialTransformerSampler(4), X, np.float32([[1, 0.1, 0, 0, 0.9, 0.2]])),
}


def test_saved_layers_are_read_in_a_fresh_process(tmp_path):
    files = {}
    for name, (layer, *inputs) in CASES.items():
        build(layer, *inputs)
        randomise(layer)
        path, arrays = str(tmp_path / f"{name}.keras"), str(tmp_path / f"{name}.npz")
        as_model(layer, *inputs).save(path)
        outputs = {f"y{i}": y for i, y in enumerate(run(layer, *inputs))}
        np.savez(arrays, **outputs, **{f"x{i}": x for i, x in enumerate(inputs)})
        files[path] = arrays
    command = [sys.executable, "-c", READER, json.dumps(files)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split()[-2:] == ["read", str(len(CASES))]
