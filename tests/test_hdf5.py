"""Keras's files reach the disk whole or not at all, and a file that means harm is refused before anything is read."""

import gc
import io
import resource

import h5py
import keras
import numpy as np
import pytest

from kattn import hdf5
from kattn.apart import run_apart
from kattn.hdf5 import MemoryFile, UnreadableFile, open_hdf5, write_model, write_weights


@pytest.fixture(scope="module")
def model():
    return keras.Sequential([keras.Input((64,)), keras.layers.Dense(64)])


@pytest.fixture
def full_disk():
    """No file may become larger than 4 KiB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(("write", "name"), [(write_weights, "m.weights.h5"), (write_model, "m.keras")])
def test_keras_reads_what_was_written(model, tmp_path, write, name):
    write(model, tmp_path / name)
    again = keras.models.clone_model(model)
    again.load_weights(tmp_path / name)
    np.testing.assert_array_equal(np.asarray(again.layers[0].kernel), np.asarray(model.layers[0].kernel))
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(("write", "name"), [(write_weights, "m.weights.h5"), (write_model, "m.keras")])
def test_a_full_disk_is_an_error_and_leaves_what_was_there(model, tmp_path, full_disk, write, name):
    """The HDF5 library itself would end the process."""
    (tmp_path / name).write_text("before")
    with pytest.raises(OSError, match=rf"{name} could not be written"):
        write(model, tmp_path / name)
    gc.collect()  # what an error had kept alive
    assert (tmp_path / name).read_text() == "before" and len(list(tmp_path.iterdir())) == 1


def test_a_file_in_memory_is_read_as_one_on_the_disk(model):
    memory = MemoryFile()
    model.save_weights(memory)
    with open_hdf5(memory) as content:
        assert content.shapes == {"layers/dense/vars/0": (64, 64), "layers/dense/vars/1": (64,)}
        np.testing.assert_array_equal(content.read("layers/dense/vars/0"), np.asarray(model.layers[0].kernel))
        assert content.attributes("no/such/group") == {}


def test_bfloat16_is_read_as_float32(tmp_path):
    import ml_dtypes

    values = np.array([1.5, -2, 0], ml_dtypes.bfloat16)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a"] = values
    with open_hdf5(tmp_path / "a.h5") as content:
        np.testing.assert_array_equal(content.read("a"), values.astype("float32"))


# ---------------------------------------------------------------- files that mean harm


def a_circle(file):
    file.create_group("a")["root"] = file["/"]


def doubly_linked_groups(file):
    """40 groups, 2 ** 40 paths."""
    group = file
    for _ in range(40):
        inner = group.create_group("x")
        group["y"] = inner
        group = inner


def very_deep_groups(file):
    group = file
    for _ in range(3000):
        group = group.create_group("x")


def a_soft_link(file):
    file["a"] = h5py.SoftLink("/b")


def an_external_link(file):
    file["a"] = h5py.ExternalLink("/etc/passwd", "/")


def external_data(file):
    file.create_dataset("a", (8,), "f4", external=[("/etc/passwd", 0, 32)])


def a_sparse_tensor(file):
    file.create_dataset("a", (10**6, 10**6), "f4", chunks=(1000, 1000))


def a_huge_chunk(file):
    file.create_dataset("a", (1,), "f4", chunks=(2**28,), maxshape=(None,))


def a_bomb(file):
    file.create_dataset("a", data=np.zeros(1 << 25, "float32"), compression="gzip", compression_opts=1)


def text(file):
    file["a"] = ["x", "y"]


def no_value(file):
    file["a"] = h5py.Empty("f4")


def a_type_in_place_of_a_tensor(file):
    file["a"] = np.dtype("f4")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (a_circle, "one object under two names"),
        (doubly_linked_groups, "one object under two names"),
        (very_deep_groups, "groups within more than 64 groups"),
        (a_soft_link, "a link in place of data"),
        (an_external_link, "a link in place of data"),
        (external_data, "refers to another file"),
        (a_sparse_tensor, r"swells to more than 64 MB in memory, 16 times its size"),
        (a_huge_chunk, "swells to more than 64 MB"),
        (a_bomb, "swells to more than 74 MB"),
        (text, "other than numbers"),
        (no_value, "other than numbers"),
        (a_type_in_place_of_a_tensor, "other than numbers"),
    ],
)
def test_a_file_that_means_harm_is_refused(tmp_path, build, message):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        build(file)
    with pytest.raises(UnreadableFile, match=message), open_hdf5(tmp_path / "a.h5"):
        pass


def test_too_many_objects_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(hdf5, "MOST_OBJECTS", 10)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for number in range(10):
            file.create_group(str(number))
    with pytest.raises(UnreadableFile, match="more than 10 objects"), open_hdf5(tmp_path / "a.h5"):
        pass


def test_a_damaged_file_is_one_kind_of_error():
    """Whatever byte is wrong: h5py has many errors for it."""
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        file.create_dataset("a/b", data=np.arange(64, dtype="float32"), compression="gzip")
        file["a"].attrs["names"] = [b"b"]
    whole, random = memory.getvalue(), np.random.default_rng(0)
    for _ in range(150):
        damaged = bytearray(whole)
        for place in random.integers(0, len(whole), 12):
            damaged[place] = random.integers(256)
        try:
            with open_hdf5(io.BytesIO(damaged)) as content:
                content.attributes("a")
                for path in content.shapes:
                    content.read(path)
        except UnreadableFile:
            pass


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("read_and_die", r"ended the process that it ran in \(signal SIGABRT\)"),
        ("read_for_ever", "took too long and was stopped"),
        ("read_into_much_memory", "MemoryError"),
    ],
)
def test_what_the_library_does_to_its_process_it_does_to_a_child(tmp_path, monkeypatch, task, message):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a"] = np.ones(3)
    monkeypatch.setattr(hdf5, "run_apart", lambda _, *a, **options: run_apart(f"support.tasks:{task}", *a, **options))
    monkeypatch.setattr(hdf5, "SECONDS", 0.2 if task == "read_for_ever" else 60)
    with pytest.raises(UnreadableFile, match=message), open_hdf5(tmp_path / "a.h5"):
        pass


def test_texts_in_a_heap_without_end_are_an_error(tmp_path, monkeypatch):
    """The HDF5 library goes round in it for ever."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a"] = np.ones(3)
        file.attrs["names"] = ["x" * 20]
    content = bytearray((tmp_path / "a.h5").read_bytes())
    first = content.index(b"GCOL") + 16
    free = first + 16 + -(-int.from_bytes(content[first + 8 : first + 16], "little") // 8) * 8
    content[free : free + 16] = bytes(16)  # free space of no bytes
    (tmp_path / "a.h5").write_bytes(content)
    monkeypatch.setattr(hdf5, "SECONDS", 0.5)
    with pytest.raises(UnreadableFile, match="took too long"), open_hdf5(tmp_path / "a.h5"):
        pass
