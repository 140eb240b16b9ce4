"""The blocks give the numbers of their authors' code."""

import json
from pathlib import Path

import golden
import numpy as np
import pytest

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
