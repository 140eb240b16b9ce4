"""Peak memory of a training step: AFI against its plain twin (the AFI paper's Table 6 claims that AFI needs less).

usage: python benchmarks/training_memory.py [MODEL ...] [--batch 32] [--size 224] [--rounds 3]

One process a model, batch size and round, in turns. The figure is the highest resident memory less what the process
held before the model was built, so it counts weights, gradients, optimizer and activations, and the graph that
TensorFlow builds, which grows with the number of layers and not with the images. A second run with one image tells the
two apart: what an image costs is the difference over the images between. Medians, and the ratios to the first model.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# glibc gives freed blocks back at once: the peak is then what was in use, not what the allocator kept.
os.environ.update(MALLOC_MMAP_THRESHOLD_="65536", MALLOC_TRIM_THRESHOLD_="131072", MALLOC_ARENA_MAX="1")


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
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(step(arguments.one, arguments.batch, arguments.size))
        return
    if arguments.batch < 2:
        parser.error(f"--batch must be at least 2, to tell the images' share. Received: {arguments.batch}")
    figures: dict[tuple[str, int], list[float]] = {
        (name, batch): [] for name in arguments.models for batch in (1, arguments.batch)
    }
    for _ in range(arguments.rounds):
        for (name, batch), seen in figures.items():
            command = [sys.executable, __file__, "--one", name, "--batch", str(batch), "--size", str(arguments.size)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            seen.append(float(done.stdout.splitlines()[-1]))
    print(f"batch {arguments.batch}, {arguments.size}x{arguments.size}, {arguments.rounds} rounds; MiB")
    first: tuple[float, float] | None = None
    for name in arguments.models:
        one, seen = statistics.median(figures[name, 1]), figures[name, arguments.batch]
        whole = statistics.median(seen)
        image = (whole - one) / (arguments.batch - 1)
        first = first or (whole, image)
        print(
            f"  {name:<24}{whole:9.0f} ({min(seen):.0f} to {max(seen):.0f})   ratio {whole / first[0]:.3f}"
            f"   an image {image:7.2f}   ratio {image / first[1]:.3f}"
        )


if __name__ == "__main__":
    main()
