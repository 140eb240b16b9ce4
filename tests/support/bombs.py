"""Small files that would take very much memory: what makes each, and what reads it."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib

MEGABYTE = 1 << 20


def png(folder, side=13_300, name="a.png"):
    """Black RGB, row by row: nothing of this size is ever in memory here."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    packer, row, body = zlib.compressobj(1), bytes(1 + 3 * side), []
    for _ in range(side):
        body.append(packer.compress(row))
    body.append(packer.flush())
    chunks = [(b"IHDR", header), (b"IDAT", b"".join(body)), (b"IEND", b"")]
    content = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    (folder / name).write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    return folder / name


def six_pngs(folder, side):
    first = png(folder, side)
    for name in ("ant", "bee"):
        (folder / "six" / name).mkdir(parents=True)
        for number in range(3):
            (folder / "six" / name / f"{number}.png").write_bytes(first.read_bytes())
    return folder / "six"


def load_folder(path):
    from kattn.data.loading import load

    load(path, image_size=16, validation=0.0)


def swelling(path, name, megabytes, start=b""):
    """An archive with one file of zeros behind `start`."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file, file.open(name, "w", force_zip64=True) as member:
        member.write(start)
        for _ in range(megabytes):
            member.write(bytes(MEGABYTE))
    return path


def npy_header(shape):
    import numpy as np

    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return header.getvalue()


def npz(folder):
    return swelling(folder / "a.npz", "a.weight.npy", 2048, npy_header((512 << 20,)))


def state(folder):
    (folder / "run").mkdir()
    swelling(folder / "run" / "state.npz", "00000.npy", 2048, npy_header((512 << 20,)))
    return folder / "run"


def many_classes(folder):
    import h5py

    with h5py.File(folder / "a.weights.h5", "w") as file:
        file.attrs["kattn"] = json.dumps({"model": "resnet20", "options": {"classes": 15_000_000}})
        file["layers/dense/vars/0"] = [[1.0]]
    return folder / "a.weights.h5"


def sparse_tensor(folder):
    import h5py

    with h5py.File(folder / "a.h5", "w") as file:
        file.attrs["layer_names"] = [b"fc"]
        file.create_group("fc").attrs["weight_names"] = [b"fc/kernel"]
        file["fc"].create_dataset("fc/kernel", (1000, 15_000_000), "f4", chunks=(1, 1000))
    return folder / "a.h5"


def keras_archive(folder):
    return swelling(folder / "a.keras", "model.weights.h5", 2048, b"\x89HDF\r\n\x1a\n")


def safetensors_header(folder):
    (folder / "a.safetensors").write_bytes(struct.pack("<Q", 1 << 60) + b"{}")
    return folder / "a.safetensors"


def safetensors_shape(folder):
    header = json.dumps({"a": {"dtype": "F32", "shape": [1 << 40, 1 << 20], "data_offsets": [0, 4]}}).encode()
    (folder / "a.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    return folder / "a.safetensors"


def safetensors_names(folder):
    entry = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    header = json.dumps({f"a{i}": entry for i in range(200_000)}).encode()
    (folder / "a.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    return folder / "a.safetensors"


def toml(folder):
    (folder / "a.toml").write_text("epochs = 1\nbatch_size = 1\nsummary = '" + "a" * (30 * MEGABYTE) + "'\n")
    return folder / "a.toml"


def toml_names(folder):
    (folder / "a.toml").write_text("\n".join("a" + ".a" * 950 + f".b{i} = 1" for i in range(32)))
    return folder / "a.toml"


def json_text(folder, name, content):
    (folder / "run").mkdir(exist_ok=True)
    (folder / "run" / name).write_text(content)
    return folder / "run"


def best(folder):
    return json_text(folder, "best.json", '{"a": [' + "[]," * 10_000_000 + "[]]}")


def numbers(folder):
    return json_text(folder, "best.json", '{"a": [' + ",".join(f"{i}.5" for i in range(3_000_000)) + "]}")


def names(folder):
    return json_text(folder, "best.json", "{" + ",".join(f'"{i:x}":1' for i in range(2_500_000)) + "}")


def configuration(folder):
    return json_text(folder, "config.json", '{"data": {}, "recipe": {}, "x": "' + "a" * (200 * MEGABYTE) + '"}')


def history(folder):
    return json_text(folder, "history.csv", "a\n" + "1\n" * 7_000_000)


def wide_history(folder):
    return json_text(folder, "history.csv", ",".join("ab" for _ in range(5_000_000)) + "\n")


def tfrecord(folder, content):
    data = folder / "shapes" / "1.0.0"
    data.mkdir(parents=True)
    template = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
    split = {"name": "train", "filepathTemplate": template, "shardLengths": ["1"]}
    info = {"name": "shapes", "version": "1.0.0", "fileFormat": "tfrecord", "splits": [split]}
    features = {"image": {"image": {"shape": {"dimensions": ["8", "8", "3"]}}}}
    features |= {"label": {"classLabel": {"numClasses": "2"}}}
    (data / "dataset_info.json").write_text(json.dumps(info))
    (data / "features.json").write_text(json.dumps({"featuresDict": {"features": features}}))
    (data / "shapes-train.tfrecord-00000-of-00001").write_bytes(content)
    return folder


def long_record(folder):
    return tfrecord(folder, struct.pack("<Q", 1 << 62) + bytes(64))


def counted_name(folder):
    """The name of a feature is a number, of which bytes() would make so many zeros."""
    from support.tfds_files import field, record, varint

    return tfrecord(folder, record(field(1, field(1, varint(1 << 3) + varint(1 << 34)))))


def endless_number(folder):
    from support.tfds_files import field, record

    return tfrecord(folder, record(field(1, b"\xff" * (4 * MEGABYTE))))


def many_labels(folder):
    path = tfrecord(folder, b"")
    file = path / "shapes" / "1.0.0" / "features.json"
    file.write_text(file.read_text().replace('"numClasses": "2"', '"numClasses": "1000000000000"'))
    return path


def wide_gif(folder):
    size = struct.pack("<HHBBB", 65535, 65535, 0, 0, 0)
    (folder / "a.gif").write_bytes(b"GIF89a" + size + b",\0\0\0\0\xff\xff\xff\xff\0\2\0;")
    return folder / "a.gif"


def huge_layer(folder):
    import keras

    from kattn.hdf5 import write_model

    write_model(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]), folder / "whole.keras")
    with zipfile.ZipFile(folder / "whole.keras") as old, zipfile.ZipFile(folder / "a.keras", "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, content.replace(b'"units": 2', b'"units": 2000000000') if "config" in name else content)
    return folder / "a.keras"


def many_nodes(folder):
    """A graph of more than eight million empty operators, just under the limit of its bytes."""
    from support.tfds_files import field

    nodes = b"\x0a\x00" * 8_380_000
    (folder / "m").mkdir()
    (folder / "m" / "saved_model.pb").write_bytes(b"\x08\x01" + field(2, field(2, nodes)))
    return folder / "m"


def many_onnx_nodes(folder):
    from support.tfds_files import field

    (folder / "a.onnx").write_bytes(b"\x08\x0a" + field(7, b"\x0a\x00" * 11_000_000))
    return folder / "a.onnx"


def read_image(path):
    from kattn.data.images import read_image

    read_image(path, (16, 16))


def read_tensors(path):
    from kattn.zoo.weights.files.foreign_files import open_tensors

    with open_tensors(path) as tensors:
        for name in tensors.shapes:
            tensors.read(name)


def find(path):
    from kattn.zoo.weights.finding import find_weights

    find_weights(str(path), "resnet20")


def read_recipe(path):
    from kattn.training.recipes import load_recipe

    load_recipe(path)


def read_best(path):
    from kattn.tuning.results import read_best

    read_best(path / "best.json")


def run(method):
    def read(path):
        from kattn.runs.folder import RunFolder

        getattr(RunFolder(path), method)()

    return read


def read_data(path):
    from kattn.data.loading import load

    load("shapes", data_dir=path)


def open_artefact(path):
    from kattn.export.formats import load

    load(path)


# Name: what makes the file, and what reads it.
LIGHT = {
    "png": (png, read_image),
    "gif": (wide_gif, read_image),
    "sparse h5": (sparse_tensor, read_tensors),
    "safetensors: length of header": (safetensors_header, read_tensors),
    "safetensors: shape": (safetensors_shape, read_tensors),
    "toml": (toml, read_recipe),
    "toml: names": (toml_names, read_recipe),
    "json: lists": (best, read_best),
    "config.json": (configuration, run("config")),
    "TFRecord: length": (long_record, read_data),
    "TFRecord: name": (counted_name, read_data),
    "TFRecord: number": (endless_number, read_data),
    "TFDS: labels": (many_labels, read_data),
}
HEAVY = {
    "npz": (npz, read_tensors),
    "state.npz": (state, run("read_state")),
    "zip": (keras_archive, read_tensors),
    "json: numbers": (numbers, read_best),
    "json: names": (names, read_best),
    "history.csv": (history, run("history")),
    "history.csv: columns": (wide_history, run("history")),
    "h5 of 15,000,000 classes": (many_classes, find),
    "six png under the limit": (lambda folder: six_pngs(folder, 10_900), load_folder),
    "keras: layer": (huge_layer, open_artefact),
    "SavedModel: nodes": (many_nodes, open_artefact),
    "onnx: nodes": (many_onnx_nodes, open_artefact),
    "safetensors: names": (safetensors_names, read_tensors),
}
READ = {"history.csv: columns", "six png under the limit", "safetensors: names"}  # may be read, or no table
