"""Files of weights that mean harm, or are damaged: bounded memory and time, one clear error, nothing overwritten."""

import contextlib
import io
import json
import os
import resource
import time
import zipfile

import h5py
import keras
import numpy as np
import pytest
from support.misbehaving_server import serve

from kattn.zoo import create, save_weights
from kattn.zoo.weights import cache, manifest, transfer
from kattn.zoo.weights.cache import FetchError, file_name
from kattn.zoo.weights.download import fetch
from kattn.zoo.weights.files.foreign_files import open_tensors
from kattn.zoo.weights.naming.recognition import MOST_CLASSES
from kattn.zoo.weights.saving import ABOUT

SMALL = {"depths": (1, 1, 1)}


@pytest.fixture(scope="module")
def small():
    return create("resnet20", classes=5, **SMALL)


@pytest.fixture(scope="module")
def files(small, tmp_path_factory):
    """One small file of each kind."""
    folder = tmp_path_factory.mktemp("files")
    arrays = {"a.weight": np.arange(64, dtype="float32").reshape(8, 8), "a.bias": np.zeros(8, "float32")}
    np.savez_compressed(folder / "a.npz", **arrays)
    layer = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8)])
    layer.save(folder / "a.keras")
    save_weights(
        small, folder / "a.weights.h5", about={"model": "resnet20", "options": {"classes": 5, "depths": [1, 1, 1]}}
    )
    with h5py.File(folder / "a.h5", "w") as file:
        file.attrs["layer_names"] = [b"a"]
        file.create_group("a").attrs["weight_names"] = [b"a/kernel:0"]
        file["a/a/kernel:0"] = arrays["a.weight"]
    return folder


def peak_megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


# ---------------------------------------------------------------- files that swell


def test_an_npz_bomb_is_refused_by_its_headers(tmp_path):
    """8 GB of zeros in 8 MB: nothing of them is read to learn their shapes."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (1 << 31,)})
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.weight.npy", header.getvalue() + bytes(1 << 20))
    before, start = peak_megabytes(), time.monotonic()
    with pytest.raises(ValueError, match=r"swells to 8192 MB in memory, more than the 64 MB .*\(16 times its size"):
        create("resnet20", weights=tmp_path / "a.npz")
    assert peak_megabytes() - before < 64 and time.monotonic() - start < 5


def test_an_array_that_is_shorter_than_its_header_says_is_an_error(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (1024,)})
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        file.writestr("a.weight.npy", header.getvalue() + bytes(8))
    with open_tensors(tmp_path / "a.npz") as tensors, pytest.raises(ValueError, match="not a readable"):
        tensors.read("a.weight")


def test_a_head_of_millions_of_classes_is_not_built(tmp_path):
    """A sparse tensor takes no room in the file, and its model would take 19 GB."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["layer_names"] = [b"fc"]
        group = file.create_group("fc")
        group.attrs["weight_names"] = [b"fc/kernel", b"fc/bias"]
        group.create_dataset("fc/kernel", (1, 10 * MOST_CLASSES), "f4", chunks=(1, 1000))
        group.create_dataset("fc/bias", (10 * MOST_CLASSES,), "f4", chunks=(1000,))
    with pytest.raises(ValueError, match=r"1,000,000 classes; more than 100,000 are not built unless you say so"):
        create("resnet20", weights=tmp_path / "a.h5")


# ---------------------------------------------------------------- what a file says of its model


def described(small, path, about):
    save_weights(small, path)
    with h5py.File(path, "r+") as file:
        file.attrs[ABOUT] = about if isinstance(about, str) else json.dumps(about)
    return path


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": 15_000_000}, "15000000 classes, but no tensor in it has so many"),
        ({"classes": "many"}, "'many' classes, but no tensor"),
        ({"classes": -1}, "-1 classes, but no tensor"),
        ({"classes": True}, "True classes, but no tensor"),
        ({"widths": [16, 32, 10**6]}, r"a network with widths=\(16, 32, 1000000\), but it holds \d+ tensors"),
        ({"depths": [10**5, 1, 1]}, r"a network with depths=\(100000, 1, 1\), but"),
        ({"mean": [0.5], "std": [1, 1, 1]}, "mean is .*, not three numbers"),
        ({"mean": "x"}, "mean is x, not three numbers"),
        ({"classifier_activation": {"class_name": "Lambda"}}, "is damaged: classifier_activation is"),
        ({"bogus": 1}, "options that do not fit resnet20, .*has no option bogus"),
        ({"depths": "abc"}, "options that do not fit resnet20"),
    ],
)
def test_what_a_file_says_of_its_model_is_checked_before_one_is_built(small, tmp_path, options, message):
    path = described(small, tmp_path / "a.weights.h5", {"model": "resnet20", "options": options})
    with pytest.raises(ValueError, match=message):
        create("resnet20", weights=path)


@pytest.mark.parametrize(
    "about",
    ["{", "3", "[]", '{"options": 3}', '{"options": {"classes": NaN}}', "[" * 10**4, '{"options": {"a": Infinity}}'],
)
def test_what_cannot_be_read_of_it_is_damage(small, tmp_path, about):
    path = described(small, tmp_path / "a.weights.h5", about)
    with pytest.raises(ValueError, match=r"what the file says of its model is damaged|no tensor in it"):
        create("resnet20", weights=path)


# ---------------------------------------------------------------- groups without end


def a_circle(group):
    group["self"] = group


def paths_without_number(group):
    for _ in range(40):
        inner = group.create_group("x")
        group["y"] = inner
        group = inner


@pytest.mark.parametrize("name", ["a.h5", "a.weights.h5"])
@pytest.mark.parametrize("spoil", [a_circle, paths_without_number])
def test_groups_that_contain_themselves_or_double_are_refused_at_once(tmp_path, name, spoil):
    with h5py.File(tmp_path / name, "w") as file:
        file.attrs["layer_names"] = [b"layers"]
        spoil(file.create_group("layers"))
    start = time.monotonic()
    with pytest.raises(ValueError, match="one object under two names"):
        create("resnet20", weights=tmp_path / name)
    assert time.monotonic() - start < 5


# ---------------------------------------------------------------- only the axis of classes or channels may differ


@pytest.mark.parametrize(
    ("layer", "shape", "fits"),
    [
        ("conv2d", (3, 3, 1, 16), True),
        ("conv2d", (1000, 3, 3, 16), False),
        ("conv2d", (3, 3, 3, 32), False),
        ("dense", (1000, 5), False),
    ],
)
def test_a_layer_stays_new_only_for_other_classes_or_channels(small, tmp_path, layer, shape, fits):
    save_weights(small, tmp_path / "a.weights.h5")
    with h5py.File(tmp_path / "a.weights.h5", "r+") as file:
        del file[f"layers/{layer}/vars/0"]
        file[f"layers/{layer}/vars/0"] = np.zeros(shape, "float32")
    refused = contextlib.nullcontext() if fits else pytest.raises(ValueError, match=r"of another shape \(1\): layers/")
    with refused:
        create("resnet20", classes=5, weights=tmp_path / "a.weights.h5", **SMALL)


def test_a_damaged_tensor_is_not_taken_for_a_new_layer(small, tmp_path):
    save_weights(small, tmp_path / "a.weights.h5")
    with h5py.File(tmp_path / "a.weights.h5", "r+") as file:
        value = file["layers/conv2d_1/vars/0"][()]
        del file["layers/conv2d_1/vars/0"]
        file.create_dataset("layers/conv2d_1/vars/0", data=value, compression="gzip", fletcher32=True)
        offset = file["layers/conv2d_1/vars/0"].id.get_chunk_info(0).byte_offset
    content = bytearray((tmp_path / "a.weights.h5").read_bytes())
    content[offset + 20] ^= 0xFF
    (tmp_path / "a.weights.h5").write_bytes(content)
    for classes in (5, 3):
        with pytest.raises(ValueError, match="not a readable HDF5 file"):
            create("resnet20", classes=classes, weights=tmp_path / "a.weights.h5", **SMALL)


# ---------------------------------------------------------------- damage


@pytest.mark.parametrize("name", ["a.npz", "a.keras", "a.h5"])
def test_whatever_byte_is_wrong_the_error_is_a_value_error(files, tmp_path, name):
    whole, random = (files / name).read_bytes(), np.random.default_rng(0)
    for number in range(150):
        damaged = bytearray(whole)
        for place in random.integers(0, len(whole), 8):
            damaged[place] = random.integers(256)
        if number % 3 == 0:
            damaged = damaged[: random.integers(len(damaged))]
        (tmp_path / name).write_bytes(damaged)
        with contextlib.suppress(ValueError), open_tensors(tmp_path / name) as tensors:
            for key in tensors.shapes:
                tensors.read(key)


def test_a_damaged_file_of_our_own_is_a_value_error(files, tmp_path):
    whole, random = (files / "a.weights.h5").read_bytes(), np.random.default_rng(0)
    for _ in range(4):
        damaged = bytearray(whole)
        for place in random.integers(0, len(whole), 2000):
            damaged[place] = random.integers(256)
        (tmp_path / "a.weights.h5").write_bytes(damaged)
        with pytest.raises(ValueError, match=r"a\.weights\.h5"):
            create("resnet20", weights=tmp_path / "a.weights.h5", **SMALL)


@pytest.mark.parametrize("names", [3, [b"none"], [b"\xff"], np.zeros(2), [b"a", b"a/a"]])
def test_a_list_of_layers_that_is_none_is_an_error(tmp_path, names):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["layer_names"] = names
        file.create_group("a/a").attrs["weight_names"] = [b"a/kernel:0"]
    with pytest.raises(ValueError, match=r"a\.h5"), open_tensors(tmp_path / "a.h5"):
        pass


# ---------------------------------------------------------------- a cache that is shared with strangers

CONTENT = bytes(range(256)) * 512


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(transfer, "WAITS", (0.0,))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("KATTN_OFFLINE", "HF_HUB_OFFLINE", "KATTN_MIRROR"):
        monkeypatch.delenv(name, raising=False)
    with serve() as one:
        yield one


def entry(url):
    facts = dict.fromkeys(("license", "metric", "metric_source"), "none")
    return manifest.Entry(
        "resnet20", "cifar10.test", 10, (32, 32, 3), (0.5,) * 3, (0.5,) * 3, **facts, verified="no", url=url
    )


@pytest.mark.parametrize(
    "place", ["files/{}", "files/{}.part", "files/{}.part.etag", "records/{}.json", "locks/{}.lock"]
)
def test_no_link_in_the_cache_is_followed(server, tmp_path, place):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    one = entry(server.put("/w.h5", CONTENT))
    link = tmp_path / "cache" / place.format(file_name(one))
    link.parent.mkdir(parents=True)
    link.symlink_to(victim)
    try:
        assert fetch(one, tmp_path / "cache").read_bytes() == CONTENT
    except FetchError:
        assert link.parent.name in ("files", "locks")
    assert victim.read_text() == "mine"


def test_a_strangers_file_is_not_taken_for_the_published(server, tmp_path, monkeypatch):
    one = entry(server.put("/w.h5", CONTENT))
    planted = tmp_path / "files" / file_name(one)
    planted.parent.mkdir()
    planted.write_bytes(CONTENT[::-1])
    monkeypatch.setattr(cache, "_stranger", lambda path: 1234 if path.read_bytes() == CONTENT[::-1] else 0)
    assert fetch(one, tmp_path).read_bytes() == CONTENT
    planted.write_bytes(CONTENT[::-1])
    (tmp_path / "records" / f"{file_name(one)}.json").unlink()
    monkeypatch.setenv("KATTN_OFFLINE", "1")
    with pytest.raises(FetchError, match="put there by user 1234, and no hash of it is published"):
        fetch(one, tmp_path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_known_by_its_owner(tmp_path):
    (tmp_path / "a").write_bytes(b"")
    assert cache._stranger(tmp_path / "a") == 0
    os.chown(tmp_path / "a", 1234, -1)
    assert cache._stranger(tmp_path / "a") == 1234


@pytest.mark.parametrize("planted", ['"a"\nX: y', "\x00", "\u00e9" * 3])
def test_a_mark_that_is_no_header_starts_the_file_anew(server, tmp_path, planted):
    one = entry(server.put("/w.h5", CONTENT))
    part = tmp_path / "files" / f"{file_name(one)}.part"
    part.parent.mkdir()
    part.write_bytes(CONTENT[:100])
    part.with_name(f"{part.name}.etag").write_text(planted)
    assert fetch(one, tmp_path).read_bytes() == CONTENT


def test_a_header_of_two_lines_is_a_fetch_error(server, tmp_path):
    with pytest.raises(FetchError, match="is not valid"):
        fetch(entry(server.put("/w.h5", CONTENT, "two_lines")), tmp_path)


def test_a_redirect_to_what_is_no_host_is_a_fetch_error(server, tmp_path):
    with pytest.raises(FetchError):
        fetch(entry(server.put("/w.h5", CONTENT, "redirect http://a..b/w.h5")), tmp_path)


@pytest.mark.parametrize("record", ["{", "[]", '{"sha256": 3}', "[" * 10**4, '{"sha256": "' + "0" * 64 + '"}'])
def test_a_damaged_record_is_as_none(server, tmp_path, record):
    one = entry(server.put("/w.h5", CONTENT))
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / f"{file_name(one)}.json").write_text(record)
    assert fetch(one, tmp_path).read_bytes() == CONTENT
