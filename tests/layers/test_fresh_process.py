"""A saved layer is read by a process that has imported nothing of kattn but `kattn.layers`."""

import json
import subprocess
import sys

import numpy as np
import pytest
from support.layer_cases import CASES, LARGE, inputs_of, layer_of
from support.layer_checks import as_model, build, randomise, run

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

# The blocks whose restored form hangs on more than plain numbers: lists, two sizes, strings.
OPTIONS = {
    "c3": {"size": (3, 4), "large_maps": "patches"},
    "eca": {"return_attention": True},
    "ge": {"variant": "theta_plus", "extent": 4},
    "nl": {"mode": "concatenation"},
    "object_context": {"scales": (1, 2)},
    "ran": {"attention": "channel"},
    "sagan": {"form": "release", "spectral_norm": True},
}


@pytest.mark.parametrize("names", [CASES.keys() - LARGE, pytest.param(LARGE, marks=pytest.mark.slow)], ids=len)
def test_saved_layers_are_read_in_a_fresh_process(names, tmp_path):
    files = {}
    for name in names:
        layer, inputs = layer_of(name, **OPTIONS.get(name, {})), inputs_of(name, batch=1)
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
    assert done.stdout.split()[-2:] == ["read", str(len(names))]
