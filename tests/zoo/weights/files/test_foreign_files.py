"""Files of other frameworks: nothing in them is executed, a broken one is a clear error."""

import sys

import h5py
import numpy as np
import pytest
from safetensors.numpy import save_file

import kattn
from kattn.zoo.weights.files.foreign_files import open_tensors

STATE = {"layer1.0.conv1.weight": np.ones((4, 4, 3, 3), "float32"), "bn1.weight": np.arange(4, dtype="float32")}


def opened(path):
    with open_tensors(path) as tensors:
        return {name: tensors.read(name) for name in tensors.shapes}


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed, lambda path, **arrays: save_file(arrays, path)])
def test_every_tensor_is_read_as_it_was_written(tmp_path, write):
    path = tmp_path / ("a.npz" if write in (np.savez, np.savez_compressed) else "a.safetensors")
    write(path, **STATE)
    for name, value in opened(path).items():
        np.testing.assert_array_equal(value, STATE[name])


def test_a_pickle_needs_torch(tmp_path, monkeypatch):
    (tmp_path / "a.pth").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ValueError, match=r"only torch can read without executing it: pip install torch"):
        opened(tmp_path / "a.pth")


class _Harm:
    """Unpickled, it writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_a_pickle_is_not_executed(tmp_path):
    torch = pytest.importorskip("torch", reason="needs torch: pip install -e '.[parity]'")
    tensors = {name: torch.tensor(value) for name, value in STATE.items()}
    torch.save({"state_dict": tensors, "more": _Harm(str(tmp_path / "harm"))}, tmp_path / "a.pth")
    with pytest.raises(ValueError, match="was not loaded, because a pickle can execute code"):
        opened(tmp_path / "a.pth")
    assert not (tmp_path / "harm").exists()
    torch.save(tensors, tmp_path / "whole.pth")
    content = (tmp_path / "whole.pth").read_bytes()
    for part in (b"", b"nothing of the kind" * 10, content[: len(content) // 2]):
        (tmp_path / "part.pth").write_bytes(part)
        with pytest.raises(ValueError, match=r"not a readable file of torch|was not loaded"):
            opened(tmp_path / "part.pth")


@pytest.mark.parametrize("name", ["a.safetensors", "a.h5", "a.npz", "a.keras"])
def test_a_broken_file_is_an_error(tmp_path, name):
    for content in (b"", b"nothing of the kind" * 10):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=r"not a readable|not a \.keras archive"):
            kattn.zoo.convert(tmp_path / name, "resnet20")


def test_a_truncated_safetensors_file_is_an_error(tmp_path):
    save_file(STATE, tmp_path / "a.safetensors")
    content = (tmp_path / "a.safetensors").read_bytes()
    (tmp_path / "a.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="not a readable safetensors file"):
        opened(tmp_path / "a.safetensors")


def test_objects_in_npz_are_not_unpickled(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.array([{"an": "object"}], dtype=object))
    with pytest.raises(ValueError, match="not a readable"):
        opened(tmp_path / "a.npz")


def test_a_link_in_hdf5_is_not_followed(tmp_path):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["x"] = np.zeros(3)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["layer_names"] = [b"x"]
        file["x"] = h5py.ExternalLink("secret.h5", "/")
    with pytest.raises(ValueError, match="holds a link in place of data"):
        opened(tmp_path / "a.h5")


def test_data_in_another_file_is_not_read(tmp_path):
    (tmp_path / "secret.bin").write_bytes(bytes(64))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["layer_names"] = [b"x"]
        file.create_dataset("x", (8,), "f4", external=[(str(tmp_path / "secret.bin"), 0, 64)])
    with pytest.raises(ValueError, match="refers to another file"):
        opened(tmp_path / "a.h5")


def test_what_is_no_file_of_weights_is_named(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"")
    with pytest.raises(ValueError, match=r"end in \.safetensors"):
        opened(tmp_path / "a.zip")
    with pytest.raises(FileNotFoundError):
        opened(tmp_path / "none.npz")
