"""What the proof of an export costs: `kattn.export.tflite` and `onnx` against the bare converters.

usage: python benchmarks/export_time.py [--models resnet20 resnet50 mobilenet_v2] [--rounds 3] [--out export_time.csv]

For each network and TFLite float32, TFLite int8, ONNX float32, ONNX int8: the time of kattn's export, which converts,
runs the file in its own runtime and compares it with the model, and the time of the converter alone:

- TFLite: `model.export` as a SavedModel, then `tf.lite.TFLiteConverter.from_saved_model`, at int8 with the same images;
- ONNX: `tf2onnx.convert.from_function` of the traced model, at int8 then onnxruntime's `quantize_static` with the same
  images in the form that it recommends (a quantised operator in 8 bits a channel, ranges from the extremes).

The two are processes that take turns, forwards and backwards, after one export each that warms them up; the figure is
the median of the rounds' ratios. Weights are random, calibration is of 32 made-up images. `share` says where kattn's
time goes. `memory` is how far the process (kattn: with its child) rose at most during an export, in MiB; Linux only.
Aims: ratio at most 1.5 at float32, 2.0 at int8.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from turns import Talk, in_turns, ratios

from kattn.files import write_csv

MODELS = ("resnet20", "resnet50", "mobilenet_v2")
FORMS = ("tflite float32", "tflite int8", "onnx float32", "onnx int8")
IMAGES = 32
COLUMNS = ("model", "form", "kattn_s", "bare_s", "ratio", "low", "high", "kattn_mib", "bare_mib", "share")
STAGES = {  # of kattn's export: part -> functions in which it passes
    "reading": ["pipeline:prepare", "pipeline:collect_inputs", "pipeline:comparison_images"],
    "tracing": ["to_tflite.export:write_saved_model"],
    "converting": ["to_tflite.export:convert", "to_onnx.export:converted", "to_onnx.export:run_apart"],
    "layers and runtimes": ["to_tflite.export:run_apart"],
    "proof": ["pipeline:certify"],
}


def bare_tflite(model: Any, path: Path, images: np.ndarray | None) -> None:
    """TensorFlow's converter as its pages show it."""
    import tensorflow as tf

    model.export(str(path), verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(path))
    if images is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([image[None]] for image in images)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    path.with_suffix(".tflite").write_bytes(converter.convert())


def bare_onnx(model: Any, path: Path, images: np.ndarray | None) -> None:
    """tf2onnx, then onnxruntime's quantiser, as their pages show them."""
    import tensorflow as tf
    import tf2onnx

    signature = [tf.TensorSpec((None, *model.input.shape[1:]), tf.float32, name="image")]
    function = tf.function(lambda image: model(image, training=False), input_signature=signature)
    exact = path.with_suffix(".onnx")
    tf2onnx.convert.from_function(function, input_signature=signature, opset=17, output_path=str(exact))
    if images is not None:
        from onnxruntime import quantization

        class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
            def __init__(self) -> None:
                self.left = iter(images)

            def get_next(self) -> dict[str, np.ndarray] | None:
                image = next(self.left, None)
                return None if image is None else {"image": image[None]}

        quantization.quant_pre_process(str(exact), str(path.with_suffix(".pre.onnx")))
        quantization.quantize_static(
            str(path.with_suffix(".pre.onnx")), str(path.with_suffix(".int8.onnx")), Reader(), per_channel=True
        )


def kattns(kind: str, model: Any, path: Path, images: np.ndarray | None) -> None:
    """The export with its proof."""
    import kattn

    getattr(kattn.export, kind)(
        model, path, **({} if images is None else {"precision": "int8", "calibration": images}), min_agreement=0
    )


def timed_stages() -> dict[str, float]:
    """Have the seconds of kattn's stages added up in the mapping that is returned."""
    spent = dict.fromkeys(STAGES, 0.0)

    def timed(real: Callable[..., Any], stage: str) -> Callable[..., Any]:
        @functools.wraps(real)
        def call(*arguments: Any, **options: Any) -> Any:
            started = time.perf_counter()
            try:
                return real(*arguments, **options)
            finally:
                spent[stage] += time.perf_counter() - started

        return call

    for stage, functions in STAGES.items():
        for function in functions:
            module, _, name = function.partition(":")
            owner = importlib.import_module(f"kattn.export.{module}")
            setattr(owner, name, timed(getattr(owner, name), stage))
    return spent


def processes() -> list[Path]:
    """This process and its children, as folders of /proc."""
    own = Path("/proc/self").resolve()
    found = [own]
    for children in own.glob("task/*/children"):
        found += [Path("/proc", number) for number in children.read_text().split()]
    return found


def memory(row: str, of: list[Path]) -> float:
    """Resident memory of processes, in MiB: VmRSS now, or VmHWM, the most there was."""
    lines = [line for one in of if one.exists() for line in (one / "status").read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith(row)) / 1024


def take_turns(side: str, name: str, form: str) -> None:
    """One process: build, warm up, then export once a turn."""
    talk = Talk()
    import keras

    import kattn

    keras.utils.set_random_seed(0)
    model = kattn.zoo.create(name)
    random = np.random.default_rng(0)
    kind, _, precision = form.partition(" ")
    images = random.integers(0, 256, (IMAGES, *model.input_shape[1:])).astype("float32")
    given = images if precision == "int8" else None
    export = functools.partial(kattns, kind) if side == "kattn" else {"tflite": bare_tflite, "onnx": bare_onnx}[kind]
    spent = timed_stages() if side == "kattn" else {}
    with tempfile.TemporaryDirectory() as folder:
        suffix = f".{kind}" if side == "kattn" else ""
        export(model, Path(folder, f"warm{suffix}"), given)
        talk.answer(ready=1)
        for number in range(1_000_000):
            spent.update(dict.fromkeys(spent, 0.0))
            there = processes()
            for one in there:
                (one / "clear_refs").write_text("5")  # the largest so far begins anew
            before = memory("VmRSS", there)
            started = time.perf_counter()
            export(model, Path(folder, f"{number}{suffix}"), given)
            seconds = time.perf_counter() - started
            talk.answer(seconds=seconds, mib=memory("VmHWM", processes()) - before, **spent)


def measure(name: str, form: str, rounds: int) -> dict[str, Any]:
    """A row of the table."""
    me = [sys.executable, __file__, "--turns"]
    commands = {side: [*me, side, name, form] for side in ("kattn", "bare")}
    _, turns = in_turns(commands, rounds, {"TF_CPP_MIN_LOG_LEVEL": "3"})
    seconds = {side: [turn["seconds"] for turn in turns[side]] for side in turns}
    of = {side: statistics.median(values) for side, values in seconds.items()}
    ratio = ratios(seconds["bare"], seconds["kattn"])
    total = sum(seconds["kattn"])
    shares = {stage: sum(turn[stage] for turn in turns["kattn"]) / total for stage in STAGES}
    most = {side: max(turn["mib"] for turn in turns[side]) for side in turns}
    return {
        "model": name,
        "form": form,
        **{f"{side}_s": round(value, 2) for side, value in of.items()},
        **{key: round(value, 2) for key, value in ratio.items()},
        **{f"{side}_mib": round(value) for side, value in most.items()},
        "share": ", ".join(f"{stage} {share:.0%}" for stage, share in shares.items() if share >= 0.01),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--forms", nargs="+", default=FORMS, choices=FORMS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("export_time.csv"))
    parser.add_argument("--turns", nargs=3, metavar=("SIDE", "MODEL", "FORM"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.turns:
        take_turns(*chosen.turns)
        return
    rows = []
    for name in chosen.models:
        for form in chosen.forms:
            rows.append(measure(name, form, chosen.rounds))
            print(*rows[-1].values(), sep=" | ", flush=True)
            write_csv(chosen.out, rows, COLUMNS)


if __name__ == "__main__":
    main()
