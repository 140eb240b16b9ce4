"""Time and memory of every block against the block written out as its paper has it (`benchmarks/written_out/`).

usage: python benchmarks/blocks.py [--blocks se nl ...] [--sizes 56x56x256 ...] [--runs 7] [--seconds 10]
       [--csv docs/blocks_benchmark.csv] [--page docs/blocks_benchmark.md] [--missing]

Both are functional models of the same parameters, traced as TensorFlow graphs. Before anything is timed they get the
same weights and must give the same output. Then both run in turn, call by call, `forward` (inference) and `step`
(forward and the gradients of the input and all weights, in training). The calls are cut into runs, each run gives one
quotient of medians of processor time, ours by written out, and the table has the median of these quotients and half the
distance of their quartiles, the spread from run to run. A block counts as slower where the quotient is above 1 by more
than the spread and by more than 3 %.

Memory is how far the resident memory rises at its highest while the traced graph runs for the first time, each of the
two in a process of its own (Linux; left out elsewhere).

The classification blocks run at 56x56x256 and 14x14x1024, those for vision also at 97x97x512, a batch of --batch (2)
samples, at 97x97 one. Groups of blocks are cut to one block. One thread: set TF_NUM_INTRAOP_THREADS to change it.
"""

from __future__ import annotations

import argparse
import csv
import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kattn.files import write_csv, write_text

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
os.environ["KERAS_BACKEND"] = "tensorflow"

Size = tuple[int, int, int]
SIZES: tuple[Size, ...] = ((56, 56, 256), (14, 14, 1024), (97, 97, 512))
VISION_ONLY = SIZES[2]
CLASSIFICATION = {"abn", "afi", "bam", "c3", "cbam", "eca", "gc", "ge", "nl", "ran", "ran_next", "se", "sk", "snl"}
CLASSIFICATION |= {"splat", "stn", "stn_sampler", "coord", "ese", "fca", "gct", "sa", "simam", "srm", "triplet"}
CLASSIFICATION |= {"a2", "bat", "ema", "lka", "mhsa", "polarized"}
SMALL_RAB: dict[str, Any] = {"head_blocks": 0, "trunk_blocks": 1, "mask_blocks": (0, 1, 0), "tail_blocks": 0}
OPTIONS: dict[str, Callable[[Size], dict[str, Any]]] = {
    "abn": lambda size: {"classes": 100},
    "ccnet_head": lambda size: {"classes": 19},
    "danet": lambda size: {"classes": 19},
    "lsrag": lambda size: {"blocks": 1},
    "nlm": lambda size: {"sigma": (4.5 * size[2]) ** 0.5},
    "object_context_asp": lambda size: {"filters": 256},
    "psa": lambda size: {"channels": size[2]},
    "rab": lambda size: SMALL_RAB,
    "ran": lambda size: {"depth": 3 if size[0] > 28 else 1},
    "ran_next": lambda size: {"depth": 3 if size[0] > 28 else 1},
    "rcan": lambda size: {"blocks": 1},
    "rnab": lambda size: SMALL_RAB,
    "san": lambda size: {"groups": 1, "blocks": 1},
    "sk": lambda size: {"filters": size[2]},
    "splat": lambda size: {"filters": size[2]},
}
INPUTS: dict[str, Callable[[Size], list[tuple[int, ...]]]] = {
    "afi": lambda size: [size] * 3,
    "sanet": lambda size: [size] * 2,
    "sanet_multi": lambda size: [size] * 2 + [(-(-size[0] // 2), -(-size[1] // 2), size[2])] * 2,
    "stn_sampler": lambda size: [size, (6,)],
}
COLUMNS = ("block", "size", "options", "mode", "seconds", "quotient", "spread", "mib", "mib_written_out", "slower")
RESOLUTION = 0.03


def names() -> list[str]:
    from kattn import layers

    return layers.names()


def sizes_of(name: str, sizes: list[Size]) -> list[Size]:
    """Those at which the block is timed; the filter of images gets an image in place of the largest map."""
    chosen = [size for size in sizes if size != VISION_ONLY or name not in CLASSIFICATION]
    return [(97, 97, 3) if size == VISION_ONLY and name == "nlm" else size for size in chosen]


def batch_of(size: Size, batch: int) -> int:
    return 1 if size[0] * size[1] > 5000 else batch


# ---------------------------------------------------------------- the two models


def pair(name: str, size: Size, batch: int) -> tuple[Any, Any, list[Any]]:
    """Ours, the one written out, with the same weights, and inputs for both."""
    import keras
    import numpy as np
    from written_out import WRITTEN_OUT

    from kattn import layers

    options = OPTIONS.get(name, lambda size: {})(size)
    shapes = INPUTS.get(name, lambda size: [size])(size)
    models = []
    for make in (lambda x: layers.get(name, **options)(x), lambda x: WRITTEN_OUT[name](x, **options)):
        inputs = [keras.Input(shape, batch_size=batch) for shape in shapes]
        models.append(keras.Model(inputs, make(inputs if len(inputs) > 1 else inputs[0])))
        for weight in models[-1].weights:
            set_by_shape(weight)
    rng = np.random.default_rng(0)
    values = [rng.standard_normal((batch, *shape)).astype("float32") for shape in shapes]
    if name == "stn_sampler":
        values[1] = (np.float32([1, 0, 0, 0, 1, 0]) + 0.1 * values[1]).astype("float32")
    return models[0], models[1], values


def set_by_shape(weight: Any) -> None:
    """The same numbers for weights of the same shape, whatever their order: both models become the same function."""
    import keras
    import numpy as np

    if not keras.backend.is_float_dtype(weight.dtype):
        return
    shape = tuple(side for side in weight.shape if side != 1)
    rng = np.random.default_rng(zlib.crc32(str(shape).encode()))
    if len(shape) < 2:
        value = rng.uniform(0.5, 1.5, weight.shape) * (0.1 if "bias" in weight.path else 1.0)
    else:
        value = rng.standard_normal(weight.shape) / np.prod(shape[:-1]) ** 0.5
    weight.assign(value.astype("float32"))


def graphs(model: Any) -> dict[str, Any]:
    """The model as the graph of a forward pass and of a training step."""
    import keras
    import tensorflow as tf

    def flat(outputs: Any) -> list[Any]:
        return keras.tree.flatten(outputs)

    @tf.function
    def forward(values: list[Any]) -> Any:
        return flat(model(values, training=False))

    @tf.function
    def step(values: list[Any]) -> Any:
        variables = [v.value for v in model.trainable_variables]
        with tf.GradientTape() as tape:
            tape.watch(values)
            loss = sum(tf.reduce_mean(tf.square(y)) for y in flat(model(values, training=True)))
        return tape.gradient(loss, [*values, *variables], unconnected_gradients=tf.UnconnectedGradients.ZERO)

    return {"forward": forward, "step": step}


def check_equal(name: str, ours: list[Any], written: list[Any]) -> None:
    import numpy as np

    for a, b in zip(ours, written, strict=True):
        a, b = np.asarray(a), np.asarray(b)
        error = np.max(np.abs(a - b)) / (1 + np.max(np.abs(b))) if a.shape == b.shape else np.inf
        if not error < 1e-3:
            raise SystemExit(f"{name}: ours and the one written out differ by {error:.1e} of 1 + max|y|, nothing timed")


# ---------------------------------------------------------------- measuring


def cost(run: Callable[[list[Any]], Any], values: list[Any]) -> float:
    """Processor seconds of one call, its results made."""
    start = time.process_time()
    for y in run(values):
        y.numpy()
    return time.process_time() - start


def time_of(name: str, size: Size, batch: int, runs: int, seconds: float) -> list[dict[str, Any]]:
    """A row each for the forward pass and the training step."""
    import keras
    import tensorflow as tf

    keras.utils.clear_session()
    ours, written, arrays = pair(name, size, batch)
    values = [tf.constant(a) for a in arrays]
    graphs_of_both = graphs(ours), graphs(written)
    check_equal(name, *(side["forward"](values) for side in graphs_of_both))
    rows = []
    for mode in graphs_of_both[0]:
        sides = [side[mode] for side in graphs_of_both]
        once = sum(cost(run, values) for run in sides)  # with tracing, which a second call is without
        once = once if once > seconds else sum(cost(run, values) for run in sides)
        turns = max(3, min(runs * 30, int(seconds / max(once, 1e-4))))
        calls: list[list[float]] = [[], []]
        for turn in range(turns):
            for side in (0, 1) if turn % 2 else (1, 0):
                calls[side].append(cost(sides[side], values))
        # The calls in turn, cut into runs: a quotient each, of medians, which a disturbed call does not move.
        count = min(runs, turns)
        cuts = [slice(turns * i // count, turns * (i + 1) // count) for i in range(count)]
        ours_by_run, written_by_run = ([statistics.median(side[cut]) for cut in cuts] for side in calls)
        quotients = [a / b for a, b in zip(ours_by_run, written_by_run, strict=True)]
        low, middle, high = statistics.quantiles(quotients, n=4)
        spread = (high - low) / 2
        rows.append(
            {
                "mode": mode,
                "seconds": statistics.median(calls[0]),
                "quotient": middle,
                "spread": spread,
                "slower": "yes" if middle - 1 > max(spread, RESOLUTION) else "",
            }
        )
    return rows


def status(field: str) -> int:
    """A line of this process's memory, in bytes."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise OSError(f"no {field} in /proc/self/status")


def measure_memory(name: str, size: Size, batch: int, written_out: bool) -> None:
    """Print, as JSON, how far one of the two models raises this process's resident memory in each mode, in MiB.

    TensorFlow keeps what it once had, so the second mode is measured from where the first began, and each model in a
    process of its own.
    """
    import tensorflow as tf

    *models, arrays = pair(name, size, batch)
    values = [tf.constant(a) for a in arrays]
    runs = graphs(models[written_out])
    for run in runs.values():
        run.get_concrete_function(values)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the highest mark starts anew
    before, found = status("VmRSS"), {}
    for mode, run in runs.items():  # forward needs less than step
        run(values)
        found[mode] = (status("VmHWM") - before) / 2**20
    print(json.dumps(found), flush=True)


def memory_of(name: str, size: Size, batch: int) -> dict[str, tuple[float, float]]:
    """MiB of ours and of the block written out, by mode; empty where the system does not tell."""
    if not sys.platform.startswith("linux"):
        return {}
    found = []
    for written_out in (False, True):
        command = [sys.executable, __file__, "--memory", json.dumps((name, size, batch, written_out))]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
        found.append(json.loads(done.stdout))
    return {mode: (found[0][mode], found[1][mode]) for mode in found[0]}


# ---------------------------------------------------------------- the table


def read_rows(path: Path | None) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Rows of an earlier run, which a run of some blocks keeps."""
    if path is None or not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        return {(row["block"], row["size"], row["mode"]): row for row in csv.DictReader(file)}


def page(rows: list[dict[str, Any]]) -> str:
    """The table as markdown: a line for each block and size."""
    lines = [
        "# Time and memory of the blocks\n",
        "Written by `python benchmarks/blocks.py --csv docs/blocks_benchmark.csv --page docs/blocks_benchmark.md`; "
        "do not edit.\n",
        "Each block against the same block written out as its paper has it (`benchmarks/written_out/`), with equal "
        "weights and equal outputs. Time is ours / written out, processor time on one thread, median of interleaved "
        "rounds, ± half the distance of the quartiles: below 1 ours is faster. Memory is the rise of the process's "
        "resident memory, ours / written out, in MiB. A step is the forward pass in training and all gradients. Batch "
        f"2, at 97x97 one. {platform.machine()}, TensorFlow graphs without XLA. Blocks, "
        "sizes and memory that are not in the table have not been measured yet: `--missing` measures them.\n",
        "| block | size | forward, ms | time, forward | time, step | MiB, forward | MiB, step |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    by_block: dict[tuple[str, str, str], dict[str, dict[str, Any]]] = {}
    for row in rows:
        by_block.setdefault((row["block"], row["size"], row["options"]), {})[row["mode"]] = row

    def quotient(row: dict[str, Any]) -> str:
        return f"{float(row['quotient']):.2f} ± {float(row['spread']):.2f}"

    def memory(row: dict[str, Any]) -> str:
        return f"{float(row['mib']):.0f} / {float(row['mib_written_out']):.0f}" if row["mib"] != "" else ""

    for (block, size, options), modes in by_block.items():
        forward, step = modes["forward"], modes["step"]
        cells = [f"`{block}`" + (f" ({options})" if options else ""), size, f"{1000 * float(forward['seconds']):.1f}"]
        cells += [quotient(forward), quotient(step), memory(forward), memory(step)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def size_of(text: str) -> Size:
    height, width, channels = map(int, text.split("x"))
    return height, width, channels


def text_of(name: str, size: Size) -> str:
    return ", ".join(f"{key}={value}" for key, value in OPTIONS.get(name, lambda size: {})(size).items())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", nargs="+", help="short names; all of kattn.layers.names() unless given")
    parser.add_argument("--sizes", nargs="+", type=size_of, default=list(SIZES))
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--runs", type=int, default=7, help="runs, each with a quotient (at least 3 are made)")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each measurement, within these limits")
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--missing", action="store_true", help="only what the table of --csv does not have yet")
    parser.add_argument("--csv", type=Path, help="write the table here; rows of blocks left out now are kept")
    parser.add_argument("--page", type=Path, help="write the same as markdown")
    parser.add_argument("--memory", help=argparse.SUPPRESS)  # one job, in a process of its own
    arguments = parser.parse_args()
    if arguments.memory:
        name, size, batch, written_out = json.loads(arguments.memory)
        measure_memory(name, tuple(size), batch, written_out)
        return 0
    chosen = arguments.blocks or names()
    jobs = [
        (name, size, batch_of(size, arguments.batch)) for name in chosen for size in sizes_of(name, arguments.sizes)
    ]
    table = read_rows(arguments.csv)
    if arguments.missing:
        jobs = [job for job in jobs if not is_complete(table, job[0], job[1], memory=not arguments.no_memory)]
    slower = 0
    for name, size, batch in jobs:
        memory = {} if arguments.no_memory else memory_of(name, size, batch)
        for row in time_of(name, size, batch, arguments.runs, arguments.seconds):
            ours, written = memory.get(row["mode"], ("", ""))
            found = {"block": name, "size": "x".join(map(str, size)), "options": text_of(name, size), **row}
            found |= {"mib": ours, "mib_written_out": written}
            found = {key: round(value, 6) if isinstance(value, float) else value for key, value in found.items()}
            table[name, found["size"], row["mode"]] = found
            slower += bool(row["slower"])
            print(
                f"{name:24}{found['size']:>12} {row['mode']:8}{row['seconds']:9.4f} s  {row['quotient']:5.2f} +- "
                f"{row['spread']:.2f} of written out   MiB {found['mib']} / {found['mib_written_out']} "
                f"{'SLOWER' if row['slower'] else ''}",
                flush=True,
            )
        if arguments.csv:
            write_csv(arguments.csv, in_order(table), COLUMNS)
    if arguments.page:
        write_text(arguments.page, page(in_order(table)))
    return int(slower > 0)


def is_complete(table: dict[tuple[str, str, str], dict[str, Any]], name: str, size: Size, memory: bool) -> bool:
    """Whether an earlier run measured both modes, and their memory where it is asked for."""
    rows = [table.get((name, "x".join(map(str, size)), mode)) for mode in ("forward", "step")]
    return all(row is not None and (row["mib"] != "" or not memory) for row in rows)


def in_order(table: dict[tuple[str, str, str], dict[str, Any]]) -> list[dict[str, Any]]:
    places = {"x".join(map(str, size)): number for number, size in enumerate(SIZES)}
    return [table[key] for key in sorted(table, key=lambda key: (key[0], places.get(key[1], 9), key[1], key[2]))]


if __name__ == "__main__":
    sys.exit(main())
