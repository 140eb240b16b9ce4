"""How long artefacts take: a distribution, all of them measured in turns in one run."""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kattn.export.errors import ExportError, ExportInputError
from kattn.export.formats import format_of, load
from kattn.export.proof.report import size_of
from kattn.export.proof.runner import Runner
from kattn.export.quiet import converting
from kattn.facts.made_up import made_up
from kattn.facts.stated import BYTES
from kattn.files import write_text
from kattn.version import versions


@dataclass(frozen=True)
class BenchRow:
    """One artefact's times, in milliseconds a call.

    Attributes:
        path, format, bytes: The artefact.
        batch: Images a call.
        threads: Of the runtime; None where the runtime keeps the process's own (SavedModel, .keras).
        calls: Measured calls.
        p50_ms, p95_ms, mean_ms, min_ms: Of the wall time.
        cpu_ms: Processor time of the whole process, all threads, mean a call: the figure to compare on a busy machine.
        ratio: cpu_ms over the first artefact's.
        load_ms: Reading the artefact and the first call.
        memory_mb: By how much loading and the first call raised the process's highest memory use; later rows of one run
            show only what goes beyond the earlier ones.
    """

    path: str
    format: str
    bytes: int
    batch: int
    threads: int | None
    calls: int
    p50_ms: float
    p95_ms: float
    mean_ms: float
    min_ms: float
    cpu_ms: float
    ratio: float
    load_ms: float
    memory_mb: float


@dataclass(frozen=True)
class Bench:
    """The rows of one run, with the versions that ran them; iterates over its rows."""

    rows: tuple[BenchRow, ...]
    versions: dict[str, str]

    def __iter__(self) -> Iterator[BenchRow]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> BenchRow:
        return self.rows[index]

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists and numbers."""
        return dataclasses.asdict(self)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the run as JSON."""
        write_text(Path(path), json.dumps(self.to_dict(), indent=2) + "\n")

    def __str__(self) -> str:
        head = f"{'artefact':40} {'bytes':>12} {'p50 ms':>9} {'p95 ms':>9} {'cpu ms':>9} {'ratio':>6} {'load ms':>8}"
        lines = [
            f"{_shortened(row.path):40} {row.bytes:12,} {row.p50_ms:9.3f} {row.p95_ms:9.3f} {row.cpu_ms:9.3f} "
            f"{row.ratio:6.2f} {row.load_ms:8.0f}"
            for row in self.rows
        ]
        return "\n".join([head, *lines])


def bench(
    *paths: str | os.PathLike[str],
    threads: int = 1,
    batch: int = 1,
    calls: int = 100,
    warmup: int = 10,
    input_shape: Sequence[int] | None = None,
    json_path: str | os.PathLike[str] | None = None,
    trust: bool = False,
) -> Bench:
    """Time artefacts on random images, in turns, so that a change of the machine's load meets all of them alike.

    Each round calls every artefact a few times in a row, forwards and backwards by turns; the input tensor is made
    beforehand, in the artefact's own layout and type.

    Args:
        paths: .tflite, .onnx and .keras files and SavedModel folders.
        threads: Of onnxruntime and ai-edge-litert; TensorFlow keeps the process's own number.
        batch: Images a call; an artefact with a fixed batch keeps its own.
        calls: Measured calls an artefact.
        warmup: Calls before that are not counted.
        input_shape: (height, width, channels), for artefacts that leave them open.
        json_path: Where to write the result too.
        trust: As in `kattn.export.load`.

    Returns: The Bench: milliseconds of each artefact, one row a path. `print` shows the table.
    Raises: ExportInputError for a path that is no readable artefact or needs trust, or numbers below 1.
    """
    if not paths:
        raise ExportInputError("bench takes at least one artefact.")
    for name, value in (("threads", threads), ("batch", batch), ("calls", calls)):
        if not isinstance(value, int) or value < 1:
            raise ExportInputError(f"{name} must be at least 1. Received: {value!r}")
    loaded = [_Timed(Path(path), threads, batch, input_shape, trust) for path in paths]
    for timed in loaded:
        timed.call(warmup)
        timed.reset()
    block = max(1, min(5, calls // 10))
    for start in range(0, calls, block):
        order = loaded if (start // block) % 2 == 0 else loaded[::-1]
        for timed in order:
            timed.call(min(block, calls - start))
    first = loaded[0].cpu_ms
    packages = sorted({package for timed in loaded for package in timed.runner.runtime})
    result = Bench(tuple(timed.row(threads, first) for timed in loaded), versions(packages))
    if json_path is not None:
        result.write(json_path)
    return result


class _Timed:
    """An artefact with its input tensor and its times so far."""

    def __init__(self, path: Path, threads: int, batch: int, input_shape: Sequence[int] | None, trust: bool) -> None:
        if row := format_of(path):
            row.runner.try_out(path)
        memory, started = _peak_memory(), time.perf_counter()
        self.runner: Runner = load(path, threads=threads, trust=trust)
        self.batch = self.runner.batch or batch
        shapes = _known(self.runner, input_shape)
        images = {name: made_up(self.batch, shape, value_range=BYTES) for name, shape in shapes.items()}
        self.tensors = {name: self.runner.encode(name, values) for name, values in images.items()}
        self.reset()
        try:
            with converting("Running it"):
                self.call(1)
        except ExportError as error:
            raise ExportInputError(f"{path} can be read but not run: {str(error).splitlines()[0]}") from error
        self.load_ms = (time.perf_counter() - started) * 1e3
        self.memory_mb = _peak_memory() - memory

    def reset(self) -> None:
        self.wall: list[float] = []
        self.cpu: list[float] = []

    def call(self, times: int) -> None:
        for _ in range(times):
            wall, cpu = time.perf_counter(), time.process_time()
            self.runner.run(self.tensors)
            self.cpu.append(time.process_time() - cpu)
            self.wall.append(time.perf_counter() - wall)

    @property
    def cpu_ms(self) -> float:
        return float(np.mean(self.cpu)) * 1e3

    def row(self, threads: int, first: float) -> BenchRow:
        wall = np.array(self.wall) * 1e3
        return BenchRow(
            path=str(self.runner.path),
            format=self.runner.format,
            bytes=size_of(self.runner.path),
            batch=self.batch,
            threads=threads if self.runner.takes_threads else None,
            calls=len(wall),
            p50_ms=float(np.percentile(wall, 50)),
            p95_ms=float(np.percentile(wall, 95)),
            mean_ms=float(wall.mean()),
            min_ms=float(wall.min()),
            cpu_ms=self.cpu_ms,
            ratio=self.cpu_ms / first if first else 1.0,
            load_ms=self.load_ms,
            memory_mb=self.memory_mb,
        )


def _known(runner: Runner, input_shape: Sequence[int] | None) -> dict[str, tuple[int, ...]]:
    first = next(iter(runner.inputs))
    shapes = runner.inputs if input_shape is None else runner.inputs | {first: tuple(input_shape)}
    for name, shape in shapes.items():
        if None in shape or len(shape) != len(runner.inputs[name]):
            raise ExportInputError(f"{runner.path} leaves its input size open: {shape}. Give input_shape=.")
    return {name: tuple(size for size in shape if size is not None) for name, shape in shapes.items()}


def _peak_memory() -> float:
    """The process's highest memory use so far, in MiB (Linux counts in KiB, macOS in bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if os.uname().sysname == "Darwin" else peak / 2**10


def _shortened(path: str, width: int = 40) -> str:
    return path if len(path) <= width else "..." + path[3 - width :]
