"""What building the two largest networks costs: time against depth, and memory against the weights'.

usage: python benchmarks/build_time.py [--rounds 3]  (--rounds 0: memory only)

- `abn_wide_resnet28_10` (four blocks a stage) and `afi_densenet_bc190_k40` (31 layers a dense block), each at a quarter
  to twice its depth: medians of processor seconds, and seconds a block, which stay level where time is linear in depth.
  An AFI block connects to all earlier ones of its stage, so its connections grow with the square of the depth; the line
  says how many there are.
- A process of its own for each of the two, and for two networks of keras.applications: how far its resident memory
  rises at most while it builds, against the memory of the weights; and the same for bare variables of the two's shapes.
  What is beyond the weights are Keras's and TensorFlow's objects, which go with the number of layers, and the buffers
  in which the largest weight is drawn. A small network is built first: the framework's own start does not count.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
NAMES = ("abn_wide_resnet28_10", "afi_densenet_bc190_k40")
KERAS_NAMES = ("ResNet152", "DenseNet201")
STARTS = ("zeros", "he_normal")  # of the bare variables: without drawing, and as Keras draws


def build(name: str, blocks: int) -> Any:
    """One of the two networks with another number of blocks a stage."""
    from kattn.zoo.attentions.table import ATTENTIONS
    from kattn.zoo.backbones import densenet, wide_resnet
    from kattn.zoo.builder import make_builder

    attention = ATTENTIONS[name.split("_")[0]]
    wide = "wide" in name
    backbone = wide_resnet.cifar(6 * blocks + 4, 10) if wide else densenet.cifar_bc(6 * blocks + 4, 40)
    return make_builder(name, attention, backbone)()


def peak() -> int:
    """Largest resident memory of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure_memory(name: str) -> None:
    """Print the rise of memory and the weights', in MiB, and the number of layers."""
    import keras

    import kattn

    kattn.zoo.create("abn_resnet20")
    before = peak()
    model = getattr(keras.applications, name)(weights=None) if name in KERAS_NAMES else kattn.zoo.create(name)
    print(f"{(peak() - before) / 2**20:.1f} {4 * model.count_params() / 2**20:.1f} {len(model.layers)}")  # float32


def print_shapes(name: str) -> None:
    """Print the shapes of a network's variables."""
    import kattn

    print(json.dumps([list(variable.shape) for variable in kattn.zoo.create(name).variables]))


def measure_variables(start: str) -> None:
    """Print the rise of memory, in MiB, for nothing but variables of the shapes on standard input."""
    import keras

    import kattn

    shapes = json.load(sys.stdin)
    kattn.zoo.create("abn_resnet20")
    before = peak()
    kept = [keras.Variable(start if len(shape) > 1 else "zeros", shape=shape) for shape in shapes]
    print(f"{(peak() - before) / 2**20:.1f} {len(kept)}")


def child(*arguments: str, given: str = "") -> str:
    """What this script prints in a process of its own."""
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(
        command, check=True, input=given, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    return done.stdout


def seconds(job: Any) -> float:
    """Processor seconds."""
    import keras

    keras.utils.clear_session()
    start = time.process_time()
    job()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", choices=NAMES + KERAS_NAMES, help=argparse.SUPPRESS)
    parser.add_argument("--shapes", help=argparse.SUPPRESS)
    parser.add_argument("--variables", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory:
        return measure_memory(arguments.memory)
    if arguments.shapes:
        return print_shapes(arguments.shapes)
    if arguments.variables:
        return measure_variables(arguments.variables)

    # First, while this process is small: a child on Linux starts with the peak of its parent.
    for name in NAMES + KERAS_NAMES:
        rise, weights, layers = map(float, child("--memory", name).split())
        beyond = f"{rise / weights:.2f} times; {(rise - weights) / layers:.2f} MiB beyond them a layer"
        print(f"{name:<24}{rise:6.0f} MiB for {weights:4.0f} MiB of weights, {beyond}")
        if name in NAMES:
            shapes = child("--shapes", name)
            bare = [(start, *map(float, child("--variables", start, given=shapes).split())) for start in STARTS]
            found = ", ".join(f"{mib:.0f} MiB ({mib / weights:.2f} times) by {start}" for start, mib, _ in bare)
            print(f"    its {bare[0][2]:.0f} variables alone, without a model: {found}")
    for name, depths in zip(NAMES if arguments.rounds else (), ((1, 2, 4, 8), (8, 16, 31, 62)), strict=False):
        print(name)
        build(name, depths[0])
        for blocks in depths:
            times = [seconds(functools.partial(build, name, blocks)) for _ in range(arguments.rounds)]
            middle = statistics.median(times)
            maps = 3 * sum(range(2, blocks + 1)) if name.startswith("afi") else 0
            note = f"   {maps} connections of AFI" if maps else ""
            print(f"  {blocks:3} blocks a stage{middle:9.2f} s{1000 * middle / (3 * blocks):9.1f} ms a block{note}")
    return None


if __name__ == "__main__":
    main()
