"""What weights cost: loading ResNet-50's from the cache, and the memory of converting them.

    python benchmarks/weights.py

Times are CPU seconds of the process, all in one run and interleaved, as ratios to what cannot be avoided: reading the
file and building the model. Memory is the peak of a process that converts, above one that builds and reads nothing, in
multiples of the weights' own size.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")


def seconds(work) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def published(folder: Path, model: str):
    """Rows of a manifest whose files lie in the cache already: kattn's own format, and a torch-layout one."""
    from safetensors.numpy import save_file

    import kattn
    from kattn.zoo.weights import manifest
    from kattn.zoo.weights.cache import file_name

    network = kattn.zoo.create(model)
    kattn.zoo.save_weights(network, folder / "own.weights.h5")
    save_file(kattn.zoo.to_state_dict(network, "timm"), folder / "theirs.safetensors")
    rows = {}
    for tag, name in (("imagenet.own", "own.weights.h5"), ("imagenet.theirs", "theirs.safetensors")):
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        common = {"classes": 1000, "input_shape": (224, 224, 3), "mean": (0.5,) * 3, "std": (0.5,) * 3}
        words = {"license": "", "metric": "", "metric_source": "", "verified": "no"}
        row = manifest.Entry(model, tag, url=f"http://127.0.0.1/{name}", hash=f"sha256:{digest}", **common, **words)
        (folder / "files").mkdir(exist_ok=True)
        os.replace(folder / name, folder / "files" / file_name(row))
        rows[tag] = row
    manifest.entries = lambda: {model: rows}
    return {tag: folder / "files" / file_name(row) for tag, row in rows.items()}


def load_times(model: str, repetitions: int) -> None:
    import h5py
    from safetensors.numpy import load_file

    import kattn

    def read_hdf5(path: Path) -> None:
        with h5py.File(path) as file:
            file.visititems(lambda _, item: item[()] is None if isinstance(item, h5py.Dataset) else None)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = published(folder, model)
        read = {"imagenet.own": read_hdf5, "imagenet.theirs": load_file}
        kattn.zoo.create(model)
        ratios: dict[str, list[float]] = {tag: [] for tag in files}
        for _ in range(repetitions):
            for tag, path in files.items():
                needed = seconds(lambda path=path, tag=tag: (read[tag](path), kattn.zoo.create(model)))
                taken = seconds(lambda tag=tag: kattn.zoo.create(model, weights=tag, cache_dir=folder))
                ratios[tag].append(taken / needed)
                print(f"{tag}: read and build {needed:.2f} s, load {taken:.2f} s", flush=True)
        for tag, found in ratios.items():
            print(f"{model} {tag} from the cache, hash checked: {statistics.median(found):.2f} of read and build")


WRITE = """
import sys, kattn
from safetensors.numpy import save_file
save_file(kattn.zoo.to_state_dict(kattn.zoo.create(sys.argv[1]), "timm"), sys.argv[2])
"""
PEAK = """
import resource, sys
import numpy as np, keras, kattn
from kattn.zoo.converting import convert
kattn.zoo.create("resnet20")  # what the framework loads at its first use is not the conversion's
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
model = convert(sys.argv[1], sys.argv[2], out=sys.argv[3])
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print((after - before) * 1024, sum(4 * int(np.prod(w.shape)) for w in model.weights))
"""


def conversion_memory(model: str) -> None:
    """To be called while this process is small: a child on Linux starts with the peak of its parent."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        theirs = folder / "theirs.safetensors"
        subprocess.run([sys.executable, "-c", WRITE, model, theirs], check=True, stderr=subprocess.DEVNULL)
        command = [sys.executable, "-c", PEAK, theirs, model, folder / "out.weights.h5"]
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        peak, size = map(int, found[-2:])
        print(f"converting {model}: peak {peak / size:.2f} of the weights' {size >> 20} MB, the model's own among them")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="resnet50")
    parser.add_argument("--repetitions", type=int, default=5)
    arguments = parser.parse_args()
    conversion_memory(arguments.model)
    load_times(arguments.model, arguments.repetitions)


if __name__ == "__main__":
    main()
