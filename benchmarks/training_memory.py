"""Peak memory of a training step: AFI against its plain twin (the AFI paper's Table 6 claims that AFI needs less).

usage: python benchmarks/training_memory.py [MODEL TWIN ...] [--batch 32] [--size 224] [--rounds 5]

One process a model and round, in turns. On TensorFlow the figure is exact: weights and optimizer state, and the most
bytes that tensors held at one time within a step, from the profiler's record of every allocation (what the process
holds is no measure there: the allocator's pool grows by doubling). The order of operations that are ready at the same
time decides which temporaries meet, and differs from process to process: so the median of several, with the least and
the most. On the other backends the figure is the highest resident memory less what the process held before the model
was built. Ratios are those of the second of two models to the first.
"""

from __future__ import annotations

import argparse
import glob
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# glibc gives freed blocks back at once: the peak is then what was in use, not what the allocator kept.
os.environ.update(MALLOC_MMAP_THRESHOLD_="65536", MALLOC_TRIM_THRESHOLD_="131072", MALLOC_ARENA_MAX="1")

STEPS = 3
MIB = 2**20


def step(name: str, batch: int, size: int) -> float:
    """MiB of one training step, in this process."""
    import keras
    import numpy as np

    import kattn

    on_tensorflow = keras.backend.backend() == "tensorflow"
    rng = np.random.default_rng(0)
    images, labels = rng.uniform(0, 255, (batch, size, size, 3)).astype("float32"), rng.integers(0, 1000, batch)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    model = kattn.zoo.create(name, input_shape=(size, size, 3))
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "sparse_categorical_crossentropy")
    for _ in range(2):
        model.train_on_batch(images, labels)
    if not on_tensorflow:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
    variables = [*model.variables, *model.optimizer.variables]
    held = sum(keras.ops.convert_to_numpy(variable).nbytes for variable in variables) / MIB
    return held + max(tensors(lambda: model.train_on_batch(images, labels)) for _ in range(STEPS)) / MIB


def tensors(compute: Any) -> int:
    """The most bytes that TensorFlow's tensors held at one time."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    with tempfile.TemporaryDirectory() as folder:
        options = tf.profiler.experimental.ProfilerOptions(host_tracer_level=3, python_tracer_level=0)
        with tf.profiler.experimental.Profile(folder, options):
            compute()
        [path] = glob.glob(f"{folder}/**/*.xplane.pb", recursive=True)
        with open(path, "rb") as file:
            space = xplane_pb2.XSpace.FromString(file.read())
    events = []
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                kind = plane.event_metadata[event.metadata_id].name
                if kind in ("MemoryAllocation", "MemoryDeallocation"):
                    stats = {plane.stat_metadata[stat.metadata_id].name: stat.int64_value for stat in event.stats}
                    when = 1000 * line.timestamp_ns + event.offset_ps
                    events.append((when, kind, stats["addr"], stats["requested_bytes"]))
    if not events:
        raise RuntimeError("The profiler recorded no allocation.")
    live: dict[int, int] = {}
    now = most = 0
    for _, kind, address, size in sorted(events):
        now -= live.pop(address, 0)
        if kind == "MemoryAllocation":
            live[address] = size
            now += size
            most = max(most, now)
    return most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=["resnet50", "afi_resnet50", "resnet50_v1", "afi_resnet50_v1"])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(step(*arguments.models, arguments.batch, arguments.size))
        return
    figures: dict[str, list[float]] = {name: [] for name in arguments.models}
    for _ in range(arguments.rounds):
        for name, seen in figures.items():
            options = [f"--batch={arguments.batch}", f"--size={arguments.size}"]
            command = [sys.executable, __file__, name, "--one", *options]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            seen.append(float(done.stdout.splitlines()[-1]))
    print(f"a training step of {arguments.batch} images of {arguments.size}x{arguments.size}, MiB")
    twin: float | None = None
    for name, seen in figures.items():
        middle = statistics.median(seen)
        ratio = f"   ratio {middle / twin:.3f}" if twin else ""
        print(f"  {name:<24}{middle:10.1f} ({min(seen):.1f} to {max(seen):.1f}){ratio}")
        twin = None if twin else middle


if __name__ == "__main__":
    main()
