"""The commands that write files, as rows of one table, for tests of full disks, of kills and of several at a time.

Each is tiny, gives the same result each time, and goes on, or starts anew, where an earlier call was stopped.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx

from kattn.export.proof.report import sha256_of

NETWORK = {"depths": "(1, 1, 1)", "widths": "(4, 4, 8)", "reduction": "2"}
SET = [f"--set={name}={value}" for name, value in NETWORK.items()]
SPACE = ["depths=[1,1,1]", "widths=[4,4,8]", "reduction=2,4"]
SEARCH = ("tune", "se_resnet20", "--data=digits", "--limit=12", "--epochs=1", "--space", *SPACE)
COMPARE = ("compare", "resnet20", "se_resnet20:reduction=2", "--set=depths=[1,1,1]", "--set=widths=[4,4,8]")
COMPARE += ("--data=digits", "--limit=12", "--epochs=1", "--seeds=1", "--workers=1")
RECIPE = {"epochs": 2, "batch_size": 8, "learning_rate": 0.05, "shift": 0.125, "flip": True}


@dataclass(frozen=True)
class Command:
    """A command line, in which {inputs} is a folder that `prepare` filled and {out} the folder to write to.

    Attributes:
        words: The command line, without `kattn`.
        growing: Patterns of the files that a stopped call leaves as far as they were; others are there as they will be
            or not at all.
        own: What runs it, where no command line does.
    """

    words: tuple[str, ...] = ()
    growing: tuple[str, ...] = ()
    own: Callable[[Path, Path], None] | None = None

    def run(self, inputs: Path, out: Path) -> None:
        """Run it in this process. Raises: what the command raises."""
        if self.own:
            self.own(inputs, out)
            return
        run([word.format(inputs=inputs, out=out) for word in self.words])


def run(words: list[str]) -> None:
    """Run a command line as `kattn.cli.main` does, without printing its errors."""
    from kattn.cli.main import build_parser

    arguments = build_parser(words[0]).parse_args(words)
    arguments.run(arguments)


def train(data: Path, out: Path, **options: Any) -> None:
    """The smallest run."""
    import keras

    from kattn.training.run import train
    from support.training import tiny_model

    keras.utils.clear_session()  # the names of layers are counted up in a process
    keras.utils.set_random_seed(11)
    train(tiny_model(classes=3), data=data, recipe=RECIPE, out=out, tensorboard=True, verbose=False, **options)


def _save_weights(inputs: Path, out: Path) -> None:
    import keras

    from kattn.zoo import save_weights

    save_weights(keras.saving.load_model(inputs / "model.keras"), out / "m.weights.h5", half=True, about={"model": "m"})


def _publish(inputs: Path, out: Path) -> None:
    from kattn.publish.results_page import write_results

    write_results(out)


def _bench(inputs: Path, out: Path) -> None:
    from kattn.export import bench

    bench(inputs / "model.keras", calls=1, warmup=0, json_path=out / "bench.json")


RUN = ("history.csv", "*.weights.h5", "state.npz", "events.*")
COMMANDS = {
    "train": Command(own=lambda inputs, out: train(inputs / "data", out / "run", resume=True), growing=RUN),
    "tune": Command((*SEARCH, "--out", "{out}/search", "--resume"), (*RUN, "costs.json")),
    "compare": Command((*COMPARE, "--out", "{out}/comparison"), (*RUN, "comparison.*", "runs.csv")),
    "tflite": Command(("export", "{inputs}/model.keras", "--to", "tflite", "--out", "{out}")),
    "onnx": Command(("export", "{inputs}/model.keras", "--to", "onnx", "--out", "{out}")),
    "saved_model": Command(("export", "{inputs}/model.keras", "--to", "saved_model", "--out", "{out}")),
    "convert": Command(
        ("convert", "{inputs}/m.safetensors", "--model", "se_resnet20", *SET, "--out", "{out}/m.weights.h5")
    ),
    "convert back": Command(
        ("convert", "{inputs}/m.weights.h5", "--model", "se_resnet20", *SET, "--out", "{out}/m.safetensors")
    ),
    "save_weights": Command(own=_save_weights),
    "report": Command(("explain", "{inputs}/run", "--report", "--out", "{out}/report.html")),
    "explain": Command(("explain", "{inputs}/model.keras", "{inputs}/data/a", "--out", "{out}/explained")),
    "evaluate": Command(("evaluate", "{inputs}/run")),
    "publish": Command(own=_publish),
    "bench": Command(own=_bench, growing=("bench.json",)),
}


def prepare(inputs: Path, *, trained: bool = True) -> None:
    """Write what the commands read: images, a model, weights in two forms, and a finished run where wanted."""
    import keras

    from support.training import image_folder, tiny_model

    _zoo_weights(inputs)
    run(["convert", f"{inputs}/m.weights.h5", "--model=se_resnet20", *SET, f"--out={inputs}/m.safetensors"])
    image_folder(inputs / "data", 30)
    keras.utils.set_random_seed(5)
    tiny_model(classes=3).save(inputs / "model.keras")
    if trained:
        train(inputs / "data", inputs / "run")


def _zoo_weights(inputs: Path) -> None:
    import keras

    from kattn.cli.arguments import options_of
    from kattn.zoo import create, save_weights

    keras.utils.set_random_seed(3)
    options = options_of([f"{name}={value}" for name, value in NETWORK.items()])
    about = {"model": "se_resnet20", "options": {"classes": 10}}
    save_weights(create("se_resnet20", **options), inputs / "m.weights.h5", about=about)


# ---------------------------------------------------------------- what is there afterwards

FOREIGN = ("keras_tuner", "logs")  # folders whose content is other programs'
TIMES = ("seconds", "bytes", "rows")  # of a certificate, with names that are counted up; of a table of latencies
COUNTED = re.compile(rb'keras_tensor_?\d*|"shared_object_id": \d+')  # differ from process to process


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder by its path, hidden ones too, with a digest of what matters in it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() or path.is_symlink())
    names = {path: path.relative_to(folder) for path in files}
    return {
        str("events" if "tfevents" in name.name else name): digest(path)
        for path, name in names.items()
        if not set(name.parts[:-1]) & set(FOREIGN)
    }


def digest(path: Path) -> str:
    """Equal for files that say the same, whenever they were written. A file cut short is like no whole one."""
    total = hashlib.sha256()
    try:
        for part in _parts(path):
            total.update(part)
    except Exception as error:  # each format has its own: what is being written beside, or was left half-written
        total.update(type(error).__name__.encode() + path.read_bytes())
    return total.hexdigest()[:16]


def _parts(path: Path) -> Iterator[bytes]:
    content = path.read_bytes()
    if "tfevents" in path.name or path.name == "times.csv":
        return
    if path.suffix in (".keras", ".npz"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in sorted(archive.namelist()):
                if name != "metadata.json":  # the date
                    yield name.encode()
                    part = archive.read(name)
                    yield from _arrays(part) if name.endswith(".h5") else [COUNTED.sub(b"tensor", part)]
    elif path.suffix == ".h5":
        yield from _arrays(content)
    elif path.suffix == ".json":
        found = json.loads(content)
        if "sha256" in found:  # a certificate: is it about what lies beside it?
            artefact = path.with_suffix("")
            found["sha256"] = artefact.exists() and sha256_of(artefact) == found["sha256"]
        rest = {key: value for key, value in found.items() if key not in (*TIMES, "path")}
        yield COUNTED.sub(b"", json.dumps(rest).encode())
    elif path.suffix == ".onnx":
        graph = onnx.load_model_from_string(content).graph
        yield " ".join(node.op_type for node in graph.node).encode()  # the names are counted up in a process
        yield from sorted(tensor.raw_data for tensor in graph.initializer)
    elif path.parent.parent.name == "out" and path.name in ("saved_model.pb", "fingerprint.pb"):
        return  # names of functions are counted up: what it answers is compared by its certificate
    else:
        yield content


def _arrays(content: bytes) -> Iterator[bytes]:
    found: list[bytes] = []
    with h5py.File(io.BytesIO(content), "r") as file:
        file.visititems(
            lambda name, item: (
                found.extend([name.encode(), np.asarray(item).tobytes()]) if isinstance(item, h5py.Dataset) else None
            )
        )
    yield from found


def differences(found: dict[str, str], whole: dict[str, str], growing: tuple[str, ...] | None = None) -> list[str]:
    """Names of the files that are not as an uninterrupted call leaves them.

    Args:
        found, whole: As `contents` gives them.
        growing: Patterns of files that may be otherwise; None: all have to be there, and be equal.
    """
    if growing is None:
        return sorted(name for name in {**found, **whole} if found.get(name) != whole.get(name))
    return sorted(
        name
        for name in found
        if found[name] != whole.get(name) and not any(fnmatch(Path(name).name, pattern) for pattern in growing)
    )


def as_json(value: Any) -> str:
    """For a process that asks another one."""
    return json.dumps(value)
