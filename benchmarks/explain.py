"""Statistics over a test split against plain inference: throughput, and memory by the number of images.

    python benchmarks/explain.py --data cifar10 --data-dir ~/tensorflow_datasets

Every statistic and plain inference (the network's predictions, batch by batch in the same way) run over the same images
in turn, `--rounds` times; the ratio is that of process CPU times, round by round, and the median is printed. Memory is
the growth of the process's peak while a statistic passes over batches that are made as they are asked for: first
`--few` images, then ten times as many.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import numpy as np

import kattn
from kattn import explain
from kattn.data.dataset import Split
from kattn.data.loading import load
from kattn.explain.statistics.stream import outputs_over, stream
from kattn.graph.opened import Graph


def inference(model: Any, data: Any, **options: Any) -> None:
    for _ in outputs_over(model, stream(data, model, **options)):
        pass


STATISTICS: dict[str, Callable[..., Any]] = {
    "class selectivity, all layers": explain.class_selectivity,
    "gate statistics, all layers": explain.gate_statistics,
    "channel correlations, last layer": lambda model, data, **options: explain.channel_correlations(
        model, data, layers=Graph(model).maps()[-1].name, **options
    ),
    "top channels, last layer": explain.top_channels,
}


def seconds(function: Callable[[], Any]) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


def throughput(model: Any, split: Split, batch_size: int, rounds: int) -> None:
    ratios: dict[str, list[float]] = {name: [] for name in STATISTICS}
    rates = []
    for i in range(rounds + 1):
        plain = seconds(lambda: inference(model, split, batch_size=batch_size))
        for name, statistic in STATISTICS.items():
            spent = seconds(lambda statistic=statistic: statistic(model, split, batch_size=batch_size))
            if i:  # the first round compiles
                ratios[name].append(plain / spent)
        if i:
            rates.append(len(split) / plain)
    print(f"plain inference: {statistics.median(rates):,.0f} images a CPU second")
    for name, values in ratios.items():
        print(f"{name:<34}{statistics.median(values):.2f} of its throughput ({min(values):.2f} to {max(values):.2f})")


def memory(model: Any, shape: tuple[int, ...], classes: int, batch_size: int, few: int) -> None:
    def made(count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        rng = np.random.default_rng(0)
        for _ in range(count // batch_size):
            yield rng.integers(0, 255, (batch_size, *shape)).astype("uint8"), rng.integers(0, classes, batch_size)

    for name in ("class selectivity, all layers", "gate statistics, all layers"):
        peaks = []
        for count in (few, few, 10 * few):
            STATISTICS[name](model, made(count))
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        print(f"{name:<34}peak {peaks[1]:.0f} MiB after {few} images, {peaks[2]:.0f} MiB after {10 * few} more")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="se_resnet20")
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--data-dir")
    parser.add_argument("--limit", type=int, help="at most so many images")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--few", type=int, default=1280)
    arguments = parser.parse_args()
    size = None if arguments.data != "digits" else 32
    data = load(arguments.data, splits=("test",), data_dir=arguments.data_dir, limit=arguments.limit, image_size=size)
    model = kattn.zoo.create(arguments.model, input_shape=data.image_shape, classes=len(data.class_names))
    print(f"{arguments.model}, {len(data.test)} test images of {data.name}, batches of {arguments.batch_size}")
    memory(model, data.image_shape, len(data.class_names), arguments.batch_size, arguments.few)
    throughput(model, data.test, arguments.batch_size, arguments.rounds)


if __name__ == "__main__":
    main()
