"""Damaged files for every reader: mutations by seed, the table of readers, and the loop over both.

`python -m support.fuzzing READER FIRST COUNT FOLDER` works through many tries in a process of its own, which a reader
may end: it prints a line before each try and one for what came of it.
"""

from __future__ import annotations

import contextlib
import copy
import faulthandler
import io
import json
import os
import random
import resource
import struct
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SECONDS = 10.0  # of one try
MEGABYTES = 1024  # that all tries together may add to the process

# ---------------------------------------------------------------- mutations of bytes

NUMBERS = (0, 1, 2, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 40, 1 << 62)


def flip_bits(data, rng):
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def set_bytes(data, rng):
    for _ in range(rng.choice((1, 1, 2, 8))):
        data[rng.randrange(len(data))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))


def truncate(data, rng):
    del data[rng.randrange(len(data)) :]


def splice(data, rng):
    start, other = rng.randrange(len(data)), rng.randrange(len(data))
    length = rng.randint(1, 64)
    data[start : start + length] = data[other : other + length]


def repeat(data, rng):
    start, length = rng.randrange(len(data)), rng.randint(1, 256)
    data[start:start] = data[start : start + length] * rng.randint(1, 20)


def remove(data, rng):
    start = rng.randrange(len(data))
    del data[start : start + rng.randint(1, 256)]


def insert(data, rng):
    start = rng.randrange(len(data) + 1)
    data[start:start] = rng.randbytes(rng.randint(1, 64))


def edit_length(data, rng):
    """A number of 1, 2, 4 or 8 bytes, most of them small ones that stand there: lengths, counts, offsets."""
    form = rng.choice(("<B", "<H", ">H", "<I", ">I", "<Q", ">Q"))
    size = struct.calcsize(form)
    places = [rng.randrange(max(1, len(data) - size + 1)) for _ in range(16)]
    place = next((p for p in places if 0 < int.from_bytes(data[p : p + size], "little") < 1 << 20), places[0])
    number = rng.choice((*NUMBERS, len(data), len(data) + 1)) & ((1 << 8 * size) - 1)
    data[place : place + size] = struct.pack(form, number)


BYTES = (flip_bits, set_bytes, truncate, splice, repeat, remove, insert, edit_length, edit_length)


def bytes_mutated(content: bytes, rng: random.Random) -> bytes:
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        if data:
            rng.choice(BYTES)(data, rng)
    return bytes(data)


# ---------------------------------------------------------------- mutations of what bytes mean

JUNK = (None, True, -1, 0, 1.5, 1e308, 10**30, "", "x" * 5000, "../../secret", "\x00", [], {}, [[]], {"": None}, "NaN")


def json_mutated(content: bytes, rng: random.Random) -> bytes:
    """Another value, a missing one, or one that stands elsewhere, in up to three places."""
    value = json.loads(content)
    for _ in range(rng.randint(1, 3)):
        places = list(_places(value))
        holder, key = rng.choice(places)
        chance = rng.random()
        if chance < 0.2:
            del holder[key]
        elif chance < 0.5:
            other, name = rng.choice(places)
            holder[key] = copy.deepcopy(other[name]) if not _inside(holder, other[name]) else None
        else:
            holder[key] = copy.deepcopy(rng.choice(JUNK))
        if not isinstance(value, dict) or not value:
            break
    return json.dumps(value).encode()


def _places(value):
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


def _inside(holder, value):
    return isinstance(value, dict | list) and (value is holder or any(_inside(holder, one) for one in _values(value)))


def _values(value):
    return value.values() if isinstance(value, dict) else value


WORDS = (
    b"1e999",
    b"-1",
    b"nan",
    b"inf",
    b"[]",
    b"{}",
    b'""',
    b"1" * 400,
    b"'",
    b'"""',
    b"true",
    b"[[[",
    b"\x00",
    b"=1",
    b",",
)


def text_mutated(content: bytes, rng: random.Random) -> bytes:
    """A word replaced by another one."""
    import re

    words = list(re.finditer(rb"[^\s=,:\[\]{}]+", content))
    for word in rng.sample(words, min(len(words), rng.randint(1, 3))):
        new = rng.choice((*WORDS, rng.choice(words)[0]))
        content = content[: word.start()] + new + content[word.end() :] if rng.random() < 0.8 else content + b"\n" + new
    return content


def zip_mutated(content: bytes, rng: random.Random) -> bytes:
    """One file of an archive damaged, in an archive that is whole."""
    with zipfile.ZipFile(io.BytesIO(content)) as old:
        members = {name: old.read(name) for name in old.namelist()}
    chosen = rng.choice(list(members))
    inner = json_mutated if chosen.endswith(".json") and rng.random() < 0.8 else bytes_mutated
    members[chosen] = inner(members[chosen], rng)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as new:
        for name, value in members.items():
            new.writestr(name, value)
    return stream.getvalue()


# ---------------------------------------------------------------- the readers


@dataclass(frozen=True)
class Reader:
    """A reader of files.

    Attributes:
        make: Writes good files into a folder; gives the path that is read, and the files that are damaged by turns.
        read: Reads the path; what it gives does not matter.
        errors: The errors that it documents, as "module:name"; all others are findings.
        mutate: What beside bytes is damaged: half of the tries.
        risky: Its runtime may end the process.
    """

    make: Callable[[Path], tuple[Path, list[Path]]]
    read: Callable[[Path], Any]
    errors: tuple[str, ...] = ("builtins:ValueError",)
    mutate: Callable[[bytes, random.Random], bytes] = bytes_mutated
    risky: bool = False


def _model():
    import keras

    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu")(inputs)
    x = keras.layers.Dense(2, activation="softmax")(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, x, name="tiny")


def _images(folder):
    from support.image_files import forms

    files = []
    for name, content in forms().items():
        if len(content) < 20_000:
            (folder / name).write_bytes(content)
            files.append(folder / name)
    return files[0], files


def _read_image(path):
    from kattn.data.images import read_image

    return read_image(path, (16, 16))


ARRAYS = "a.weight", "a.bias"


def _arrays():
    import numpy as np

    return dict(zip(ARRAYS, (np.arange(64, dtype="float32").reshape(8, 8), np.zeros(8, "float32")), strict=True))


def _npz(folder):
    import numpy as np

    np.savez_compressed(folder / "a.npz", **_arrays())
    return folder / "a.npz", [folder / "a.npz"]


def _safetensors(folder):
    from safetensors.numpy import save_file

    save_file(_arrays(), folder / "a.safetensors")
    return folder / "a.safetensors", [folder / "a.safetensors"]


def _torch(folder):
    import torch

    torch.save({name: torch.from_numpy(array) for name, array in _arrays().items()}, folder / "a.pth")
    return folder / "a.pth", [folder / "a.pth"]


def _h5(folder):
    import h5py

    with h5py.File(folder / "a.h5", "w") as file:
        file.attrs["layer_names"] = [b"a"]
        file.create_group("a").attrs["weight_names"] = [b"a/kernel:0", b"a/bias:0"]
        for name, array in zip(("kernel", "bias"), _arrays().values(), strict=True):
            file[f"a/a/{name}:0"] = array
    return folder / "a.h5", [folder / "a.h5"]


def _read_tensors(path):
    from kattn.zoo.weights.foreign_files import open_tensors

    with open_tensors(path) as tensors:
        for name in tensors.shapes:
            tensors.read(name)


_networks: list[Any] = []


def _weights(folder):
    from kattn.zoo import save_weights

    _networks[:] = [_model()]
    about = {"model": "resnet20", "options": {"classes": 2, "input_shape": [8, 8, 3]}}
    save_weights(_networks[0], folder / "a.weights.h5", about=about)
    return folder / "a.weights.h5", [folder / "a.weights.h5"]


def _load_weights(path):
    from kattn.zoo.weights.finding import find_weights
    from kattn.zoo.weights.loading import load_weights

    load_weights(_networks[0], find_weights(str(path), "resnet20"), "resnet20")


def _keras(folder):
    from kattn.hdf5 import write_model

    write_model(_model(), folder / "a.keras")
    return folder / "a.keras", [folder / "a.keras"]


def _open_keras(path):
    from kattn.runs.opening import load_keras

    load_keras(path)


def _onnx(folder):
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("image", ["batch", 8, 8, 3]), ("predictions", ["batch", 2]))
    ]
    rng = np.random.default_rng(0)
    tensors = {
        "kernel": rng.normal(size=(4, 3, 3, 3)).astype("float32"),
        "weights": rng.normal(size=(4, 2)).astype("float32"),
        "shape": np.array([-1, 4], "int64"),
    }
    nodes = [
        helper.make_node("Transpose", ["image"], ["x"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["x", "kernel"], ["y"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["y"], ["z"]),
        helper.make_node("GlobalAveragePool", ["z"], ["p"]),
        helper.make_node("Reshape", ["p", "shape"], ["f"]),
        helper.make_node("MatMul", ["f", "weights"], ["m"]),
        helper.make_node("Softmax", ["m"], ["predictions"]),
    ]
    initializers = [numpy_helper.from_array(array, name) for name, array in tensors.items()]
    graph = helper.make_graph(nodes, "tiny", values[:1], values[1:], initializer=initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.save(model, folder / "a.onnx")
    return folder / "a.onnx", [folder / "a.onnx"]


def _tflite(folder):
    import tensorflow as tf

    kernel = tf.random.stateless_normal((3, 3, 3, 4), (0, 0))

    @tf.function(input_signature=[tf.TensorSpec((1, 8, 8, 3), tf.float32, name="image")])
    def tiny(image):
        x = tf.nn.relu(tf.nn.conv2d(image, kernel, 1, "SAME"))
        return {"predictions": tf.nn.softmax(tf.reduce_mean(x, (1, 2)))}

    module = tf.Module()
    module.tiny = tiny
    converter = tf.lite.TFLiteConverter.from_concrete_functions([tiny.get_concrete_function()], module)
    (folder / "a.tflite").write_bytes(converter.convert())
    return folder / "a.tflite", [folder / "a.tflite"]


def _run(path):
    """Open an artefact and run it, as kattn.evaluate does."""
    import numpy as np

    from kattn.evaluation.predictors import open_predictor

    predictor = open_predictor(path)
    size = predictor.image_size or (8, 8)
    images = np.zeros((2, *(min(side, 64) for side in size), predictor.channels or 3), "uint8")
    for _ in predictor.run(images, 2):
        pass


def _saved_model(folder):
    import tensorflow as tf

    class Module(tf.Module):
        def __init__(self):
            self.scale = tf.Variable([2.0, 3.0])

        @tf.function(input_signature=[tf.TensorSpec((None, 8, 8, 2), tf.float32, name="image")])
        def __call__(self, image):
            return {"predictions": tf.nn.softmax(self.scale * tf.reduce_mean(image, axis=(1, 2)))}

    module = Module()
    tf.saved_model.save(module, str(folder / "m"), signatures={"serving_default": module.__call__})
    return folder / "m", [folder / "m" / "saved_model.pb"] * 3 + [*(folder / "m" / "variables").iterdir()]


FACTS = {
    "value_range": [0, 1],
    "resize": "crop",
    "interpolation": "bicubic",
    "labels": ["a", "b"],
    "kinds": {"predictions": "classes"},
    "scores": ["predictions"],
    "preprocess": "f",
    "origins": {"labels": "stated"},
}


def _facts(folder):
    _onnx(folder)
    (folder / "facts.json").write_text(json.dumps(FACTS))
    return folder / "a.onnx", [folder / "facts.json"]


def _describe(path):
    """Describe an artefact by the certificate beside it, whose hashes are right."""
    from kattn.export.formats import load
    from kattn.export.proof.report import sha256_of, size_of

    facts = path.with_name("facts.json").read_text(errors="replace")
    with contextlib.suppress(ValueError):
        facts = json.loads(facts)
    certificate = {"bytes": size_of(path), "sha256": sha256_of(path), "facts": facts}
    path.with_name("a.onnx.json").write_text(json.dumps(certificate))
    return load(path).description


RECIPE = """\
summary = "a recipe"
epochs = 20
batch_size = 128
learning_rate = 0.1
warmup_epochs = 2.0
schedule = "step"
milestones = [0.5, 0.75]
nesterov = true
"""


def _toml(folder):
    (folder / "a.toml").write_text(RECIPE)
    return folder / "a.toml", [folder / "a.toml"]


def _read_recipe(path):
    from kattn.training.recipes import load_recipe

    load_recipe(path, {"epochs": 3})


def _run_folder(*damaged):
    def make(folder):
        import numpy as np

        from kattn.runs.folder import BEST, CONFIG, HISTORY, METRICS, MODEL, STATE, RunFolder

        run = RunFolder(folder / "run")
        run.path.mkdir()
        model = _model()
        data = {"spec": "digits", "settings": {"image_size": [8, 8], "validation": 0.1, "split_seed": 0}}
        data |= {"settings": data["settings"] | {"data_dir": None, "on_error": "raise"}, "limit": 20, "name": "digits"}
        data |= {"class_names": ["a", "b"], "image_shape": [8, 8, 3], "images": {"test": 20}}
        recipe = {"name": "quick", "epochs": 1, "batch_size": 8, "select": "best"}
        config = {"model": "tiny", "options": {"reduction": 4}, "data": data, "recipe": recipe, "seed": 0}
        scores = {"images": 2, "classes": 2, "top1": 0.5, "top5": None, "loss": 0.1, "calibration_error": 0.1}
        scores |= {"per_class": {"a": 1.0, "b": None}, "confusion": [[1, 0], [0, 0]], "model": "m", "data": "d"}
        (run.path / CONFIG).write_text(json.dumps(config))
        (run.path / METRICS).write_text(json.dumps(scores | {"first_level": None}))
        (run.path / MODEL).write_text(model.to_json())
        (run.path / BEST).write_bytes(b"")
        run.write_weights(BEST, model)
        run.write_history([{"epoch": i, "loss": 1 / i, "val_accuracy": 0.5} for i in range(1, 5)])
        run.write_state({"history": np.array("[]"), "00000": np.arange(12.0)})
        names = {"CONFIG": CONFIG, "METRICS": METRICS, "MODEL": MODEL, "BEST": BEST, "HISTORY": HISTORY, "STATE": STATE}
        return run.path, [run.path / names[name] for name in damaged]

    return make


def _config(path):
    from kattn.data.loading import load, local_data_dir, stored_settings
    from kattn.runs.folder import CONFIG, RunFolder
    from kattn.runs.records import require

    config = RunFolder(path).config()
    require(config, ("data.spec", "data.settings", "data.class_names"), path / CONFIG)
    data = config["data"]
    settings = stored_settings(data["settings"], str(path))
    settings["data_dir"] = local_data_dir(data["spec"], settings.pop("data_dir", None), None, who=str(path))
    load(data["spec"], splits=("test",), limit=data.get("limit"), **settings)


def _open_run(path):
    from kattn.training.run import open_run

    open_run(path)


def _run_model(path):
    from kattn.runs.folder import RunFolder

    RunFolder(path).load_model("best")


def _history(path):
    from kattn.runs.folder import RunFolder

    RunFolder(path).history()


def _state(path):
    from kattn.runs.folder import RunFolder

    RunFolder(path).read_state()


def _best(folder):
    best = {"model": "resnet20", "options": {"depths": [1, 1, 1]}, "recipe": {"epochs": 1, "batch_size": 8}}
    best |= {"data": "digits", "seed": 0, "image_size": [8, 8], "validation": 0.1, "data_dir": None}
    (folder / "best.json").write_text(json.dumps(best))
    return folder / "best.json", [folder / "best.json"]


def _read_best(path):
    from kattn.training.recipes import load_recipe
    from kattn.tuning.results import read_best

    load_recipe(read_best(path)["recipe"])


def _trials(folder):
    trial = {"status": "completed", "accuracy": 0.5, "epochs": 1, "model": "resnet20", "values": {"reduction": 4}}
    trial |= {"options": {}, "recipe": {}, "costs": {"parameters": 10, "macs": 20}}
    (folder / "trials" / "0000-a").mkdir(parents=True)
    (folder / "trials" / "0000-a" / "trial.json").write_text(json.dumps(trial))
    return folder / "trials", [folder / "trials" / "0000-a" / "trial.json"]


def _read_trials(path):
    from kattn.tuning.results import read_trials

    read_trials(path)


def _report(folder):
    from kattn.export.proof.report import Difference, Report

    values = {
        "dict": {"a": {"shape": [1], "kind": "probabilities"}},
        "int": 1,
        "float": 0.5,
        "bool": True,
        "list": ["x"],
        "Sequence": ["x"],
    }
    kinds = {name: field.type.partition("[")[0].split()[0] for name, field in Report.__dataclass_fields__.items()}
    fields = {name: values.get(kind, "x") for name, kind in kinds.items()}
    fields["differences"] = {"predictions": dict.fromkeys(Difference.__dataclass_fields__, 0.5)}
    (folder / "m.json").write_text(json.dumps(fields))
    return folder / "m.json", [folder / "m.json"]


def _read_report(path):
    from kattn.export.proof.report import Report

    Report.read(path)


def _tfds(folder):
    import numpy as np

    from support.tfds_files import prepare

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6, 8, 8, 3), dtype="uint8")
    prepare(folder, shards=1, train=(images, np.arange(6) % 2), test=(images, np.arange(6) % 2))
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return folder, files


def _read_tfds(path):
    from kattn.data.loading import load

    load("shapes", data_dir=path, cache=True)


def _tfds_mutated(content, rng):
    return json_mutated(content, rng) if content[:1] == b"{" else bytes_mutated(content, rng)


RUN, DATA, EXPORT = "kattn.runs.errors:RunError", "kattn.data.errors:DataError", "kattn.export.errors:ExportInputError"
SEARCH, HDF5, NPZ = "kattn.tuning.records:SearchError", "kattn.hdf5:UnreadableFile", "kattn.npz:UnreadableNpz"
PLAIN = "builtins:ValueError"
MISMATCH = "kattn.zoo.weights.pairing:Mismatch"
READERS: dict[str, Reader] = {
    "images": Reader(_images, _read_image, (DATA,)),
    "npz": Reader(_npz, _read_tensors, (NPZ,), zip_mutated),
    "safetensors": Reader(_safetensors, _read_tensors),
    "torch": Reader(_torch, _read_tensors, mutate=zip_mutated, risky=True),
    "h5": Reader(_h5, _read_tensors, (PLAIN, HDF5), risky=True),
    "weights.h5": Reader(_weights, _load_weights, (PLAIN, HDF5, MISMATCH), risky=True),
    "keras": Reader(_keras, _open_keras, (EXPORT,), zip_mutated, risky=True),
    "tflite": Reader(_tflite, _run, (EXPORT, PLAIN), risky=True),
    "onnx": Reader(_onnx, _run, (EXPORT, PLAIN), risky=True),
    "facts": Reader(_facts, _describe, (EXPORT, PLAIN), json_mutated),
    "saved_model": Reader(_saved_model, _run, (EXPORT, PLAIN), risky=True),
    "toml": Reader(_toml, _read_recipe, mutate=text_mutated),
    "config.json": Reader(_run_folder("CONFIG"), _config, (RUN, DATA), json_mutated),
    "metrics.json": Reader(_run_folder("METRICS"), _open_run, (RUN,), json_mutated),
    "model.json": Reader(_run_folder("MODEL", "BEST"), _run_model, (RUN,), _tfds_mutated, risky=True),
    "history.csv": Reader(_run_folder("HISTORY"), _history, (RUN,), text_mutated),
    "state.npz": Reader(_run_folder("STATE"), _state, (RUN,), zip_mutated),
    "best.json": Reader(_best, _read_best, mutate=json_mutated),
    "trial.json": Reader(_trials, _read_trials, (SEARCH,), json_mutated),
    "report.json": Reader(_report, _read_report, mutate=json_mutated),
    "tfrecord": Reader(_tfds, _read_tfds, (DATA,), _tfds_mutated),
}


# ---------------------------------------------------------------- the loop


@dataclass
class Outcome:
    """What came of tries.

    Attributes:
        counts: Results and errors by kind.
        findings: What should not have been: the try, and what happened.
        megabytes: By how much the process grew.
    """

    counts: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    megabytes: float = 0.0


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def tries(name: str, first: int, count: int, folder: Path, *, alone: bool = False) -> Outcome:
    """Damage files and read them.

    Args:
        name: Of the reader.
        first, count: Of the tries; the number of a try is its seed.
        folder: An empty one; all files lie below.
        alone: In a process of its own, which ends where a try takes too long, and prints how far it is.
    """
    reader, outcome = READERS[name], Outcome()
    terminal = os.dup(2) if alone else 2  # readers may redirect the error stream
    work = folder / "work"
    work.mkdir(parents=True, exist_ok=True)
    path, files = reader.make(work)
    whole = {file: file.read_bytes() for file in files}
    reader.read(path)  # all is well, and everything is imported
    before, names = peak(), _names(folder)
    for seed in range(first, first + count):
        rng = random.Random(f"{name} {seed}")
        target = rng.choice(files)
        mutate = reader.mutate if rng.random() < 0.5 else bytes_mutated
        target.write_bytes(mutate(whole[target], rng))
        read = path if path not in whole else target
        if alone:
            print("try", seed, flush=True)
            faulthandler.dump_traceback_later(SECONDS, exit=True, file=terminal)
        start = time.monotonic()
        try:
            reader.read(read)
            outcome.counts["read"] += 1
        except Exception as error:
            kind = f"{type(error).__module__}:{type(error).__name__}"
            outcome.counts[type(error).__name__] += 1
            if kind not in reader.errors:
                outcome.findings.append(f"{name} {seed}: bare {kind}: {str(error)[:200]}")
        if (taken := time.monotonic() - start) > SECONDS:
            outcome.findings.append(f"{name} {seed}: {taken:.0f} s")
        target.write_bytes(whole[target])
        if (found := peak() - before) > MEGABYTES and outcome.megabytes <= MEGABYTES:
            outcome.findings.append(f"{name} {seed}: {found:.0f} MB")
        outcome.megabytes = max(outcome.megabytes, found)
        if alone:
            faulthandler.cancel_dump_traceback_later()
    if new := _names(folder) - names:
        outcome.findings.append(f"{name}: wrote {sorted(new)[:5]}")
    return outcome


def _names(folder: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*")}


def tries_apart(name: str, first: int, count: int, folder: Path, *, most_deaths: int = 20) -> Outcome:
    """The same in processes of their own: one that dies or hangs is a finding, and the next one goes on behind it."""
    total, end = Outcome(), first + count
    while first < end:
        inner = folder / f"from{first}"
        inner.mkdir(parents=True)
        command = [sys.executable, "-m", "support.fuzzing", name, str(first), str(end - first), str(inner)]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(inner), "HOME": str(inner)}
        with open(folder / "stderr", "w+") as errors:
            done = subprocess.run(
                command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment, cwd=inner, check=False
            )
            errors.seek(0)
            said = errors.read()
        lines = done.stdout.splitlines()
        if done.returncode == 0:
            result = json.loads(lines[-1])
            total.counts.update(result["counts"])
            total.findings += result["findings"]
            total.megabytes = max(total.megabytes, result["megabytes"])
            break
        last = [int(line.split()[1]) for line in lines if line.startswith("try ")]
        if not last:
            raise RuntimeError(f"{name}: the tries did not begin: {said[-2000:]}")
        kind = "hung" if "Timeout (" in said else f"ended the process ({done.returncode})"
        total.counts[kind] += 1
        total.counts["before that"] += last[-1] - first
        total.findings.append(f"{name} {last[-1]}: {kind}: {said[-600:]}")
        first = last[-1] + 1
        if len(total.findings) >= most_deaths:
            break
    return total


if __name__ == "__main__":
    found = tries(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]), alone=True)
    print(json.dumps({"counts": found.counts, "findings": found.findings, "megabytes": found.megabytes}), flush=True)
    os._exit(0)
