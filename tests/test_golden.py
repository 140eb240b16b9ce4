"""The blocks give the numbers of their authors' code."""

import json
from pathlib import Path

import golden
import keras
import numpy as np
import pytest

import kattn

FILES = sorted((Path(__file__).parent / "data" / "golden").glob("*.npz"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_block_equals_its_reference(path):
    assert golden.compare(path) <= 1e-5


def test_every_file_is_compared_and_reported(capsys):
    assert golden.main([str(path) for path in FILES[:2]]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.fixture
def altered(tmp_path):
    """Writes se.npz with something changed."""

    def write(name="se-altered.npz", config=(), **tensors):
        with np.load(FILES[0].parent / "se.npz") as data:
            content = dict(data)
        content["config"] = np.array(json.dumps(json.loads(str(content["config"])) | dict(config)))
        content |= {key.replace("__", "/"): value for key, value in tensors.items()}
        np.savez(tmp_path / name, **content)
        return str(tmp_path / name)

    return write


def test_a_wrong_output_is_a_miss(altered, capsys):
    assert golden.main([altered(y=np.zeros((2, 8, 6, 32), "float32"))]) == 1
    assert capsys.readouterr().out.startswith("MISS se-altered.npz")


def test_an_option_of_the_config_is_obeyed(altered):
    assert golden.main([altered(config={"squeeze": "max"})]) == 1


def test_a_weight_nobody_takes_fails(altered, capsys):
    assert golden.main([altered(w__fc3_weight=np.zeros(3))]) == 1
    assert "did not take" in capsys.readouterr().out


def test_an_unknown_block_fails(altered, capsys):
    assert golden.main([altered(name="nonsense.npz")]) == 1
    assert "no adapter" in capsys.readouterr().out


def test_a_non_local_block_may_name_its_last_layers_out_and_bn(tmp_path):
    with np.load(FILES[0].parent / "nonlocal.npz") as data:
        content = {name.replace("w/W.0", "w/out").replace("w/W.1", "w/bn"): data[name] for name in data.files}
    np.savez(tmp_path / "nonlocal-named.npz", **content)
    assert golden.compare(tmp_path / "nonlocal-named.npz") <= 1e-5


@pytest.mark.parametrize("flatten", ["chw", "hwc"])
def test_a_spatial_transformer_may_come_with_its_localisation_network(tmp_path, flatten):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 8, 6, 3)).astype("float32")
    fc1, fc2 = (rng.normal(0, 0.1, size).astype("float32") for size in ((5, 144), (6, 5)))
    b1, b2 = rng.normal(0, 0.1, 5).astype("float32"), np.array([1, 0, 0, 0, 1, 0], "float32")
    flat = x.transpose(0, 3, 1, 2) if flatten == "chw" else x
    theta = np.maximum(flat.reshape(2, -1) @ fc1.T + b1, 0) @ fc2.T + b2
    y = kattn.layers.SpatialTransformerSampler()([x, theta])
    weights = {"w/fc1.weight": fc1, "w/fc1.bias": b1, "w/fc2.weight": fc2, "w/fc2.bias": b2}
    config = {"align_corners": False, "flatten": flatten, "outputs": ["sampled image", "theta"]}
    np.savez(tmp_path / "stn.npz", x=x, y=keras.ops.convert_to_numpy(y), y1=theta, config=json.dumps(config), **weights)
    assert golden.compare(tmp_path / "stn.npz") <= 1e-5
