"""What building the two largest networks costs: time against depth, and memory against the weights'.

usage: python benchmarks/build_time.py [--rounds 3]

- `abn_wide_resnet28_10` (four blocks a stage) and `afi_densenet_bc190_k40` (31 layers a dense block), each at a quarter
  to twice its depth: medians of processor seconds, and seconds a block, which stay level where time is linear in depth.
  An AFI block connects to all earlier ones of its stage, so its connections grow with the square of the depth; the line
  says how many there are.
- A process of its own for each of the two, and for two networks of keras.applications: how far its resident memory
  rises at most while it builds, against the memory of the weights. What is beyond the weights are Keras's and
  TensorFlow's objects, which go with the number of layers, and the buffers in which the largest weight is drawn. A
  small network is built first, so that the framework's own start does not count.
"""

from __future__ import annotations

import argparse
import functools
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


def build(name: str, blocks: int) -> Any:
    """One of the two networks with another number of blocks a stage."""
    from kattn.zoo.attentions import ATTENTIONS
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
    arguments = parser.parse_args()
    if arguments.memory:
        return measure_memory(arguments.memory)

    # First, while this process is small: a child on Linux starts with the peak of its parent.
    for name in NAMES + KERAS_NAMES:
        command = [sys.executable, __file__, "--memory", name]
        answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        rise, weights, layers = map(float, answer.stdout.split())
        beyond = f"{rise / weights:.2f} times; {(rise - weights) / layers:.2f} MiB beyond them a layer"
        print(f"{name:<24}{rise:6.0f} MiB for {weights:4.0f} MiB of weights, {beyond}")
    for name, depths in zip(NAMES, ((1, 2, 4, 8), (8, 16, 31, 62)), strict=True):
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
