"""Peak memory of a training step: AFI against its plain twin (the AFI paper's Table 6 claims that AFI needs less).

usage: python benchmarks/training_memory.py [MODEL ...] [--batch 16] [--size 224] [--rounds 3]

One process a model and round, in turns. The figure is the highest resident memory less what the process held before the
model was built, so it counts weights, gradients, optimizer and activations; medians and the ratio to the first model.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def step(name: str, batch: int, size: int) -> float:
    """MiB of one training step, in this process."""
    import keras
    import numpy as np

    import kattn

    def peak() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (batch, size, size, 3)).astype("float32")
    before = peak()
    model = kattn.zoo.create(name, input_shape=(size, size, 3))
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "sparse_categorical_crossentropy")
    for _ in range(2):
        model.train_on_batch(images, rng.integers(0, 1000, batch))
    return peak() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=["resnet50", "afi_resnet50"])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(step(arguments.one, arguments.batch, arguments.size))
        return
    figures: dict[str, list[float]] = {name: [] for name in arguments.models}
    for _ in range(arguments.rounds):
        for name, seen in figures.items():
            sizes = ["--batch", str(arguments.batch), "--size", str(arguments.size)]
            done = subprocess.run(
                [sys.executable, __file__, "--one", name, *sizes], check=True, capture_output=True, text=True
            )
            seen.append(float(done.stdout.splitlines()[-1]))
    first = statistics.median(next(iter(figures.values())))
    print(f"batch {arguments.batch}, {arguments.size}x{arguments.size}, {arguments.rounds} rounds")
    for name, seen in figures.items():
        middle = statistics.median(seen)
        print(f"  {name:<24}{middle:9.0f} MiB ({min(seen):.0f} to {max(seen):.0f})   ratio {middle / first:.3f}")


if __name__ == "__main__":
    main()
