"""Every mechanism on every backbone in every format: does it export, how far is it from Keras, what is in its graph.

usage: python benchmarks/export_grid.py [--models se_resnet20 ...] [--formats tflite:int8 ...] [--size 64] [--json
    grid.json]

Without arguments: {plain, SE, CBAM, BAM, GC, AFI, ABN, ECA, NL, SK} x {resnet20, resnet50, wide_resnet16_8,
densenet121, mobilenet_v2, resnext50_32x4d} x {SavedModel, TFLite float32, float16, dynamic, int8, ONNX float32, int8}.
Weights and normalisation statistics are random (a fold of zeros proves nothing), calibration and comparison images are
made up, so the figures are about conversion; for accuracy export a trained run. Each model is built in a process of its
own. ImageNet-style networks are built for --size pixels, which leaves their graphs as they are.

Checked, and counted as a failure: float32 within 1e-4 of Keras, float16 within 1e-2; no Flex operator, no tensor above
4 dimensions, no shape known at run time only in TFLite; no BatchNormalization, Shape, Gather or Cast and at most 2
Transposes in ONNX. Exit status 1 if anything fails.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
MECHANISMS = ("", "se_", "cbam_", "bam_", "gc_", "afi_", "abn_", "eca_", "nl_", "sk_")
BACKBONES = ("resnet20", "resnet50", "wide_resnet16_8", "densenet121", "mobilenet_v2", "resnext50_32x4d")
FORMATS = (
    "saved_model:float32",
    "tflite:float32",
    "tflite:float16",
    "tflite:dynamic",
    "tflite:int8",
    "onnx:float32",
    "onnx:int8",
)


def models_of_the_grid() -> list[str]:
    """The product's names that exist: some mechanisms have no place in some backbones."""
    import kattn

    known = set(kattn.zoo.list_models())
    return [name for backbone in BACKBONES for name in (f"{m}{backbone}" for m in MECHANISMS) if name in known]


def randomise(model: Any, images: Any) -> None:
    """Weights that keep activations in range, statistics unlike a new network's, predictions that differ by image."""
    import keras
    import numpy as np

    random = np.random.default_rng(0)
    for weight in model.weights:
        if not keras.backend.is_float_dtype(weight.dtype):
            continue
        shape = tuple(weight.shape)
        if "variance" in weight.path or "gamma" in weight.path:
            value = random.uniform(0.5, 1.5, shape)
        else:
            value = random.standard_normal(shape) / max(1.0, np.sqrt(np.prod(shape[:-1])))
        weight.assign(value.astype("float32"))
    logits = model.get_layer("logits")
    spread = np.std(keras.Model(model.inputs, logits.output).predict(images, verbose=0))
    logits.kernel.assign(logits.kernel / max(spread, 1e-6))


def export_one(model: Any, form: str, folder: Path, calibration: Any) -> dict[str, Any]:
    """One artefact's row."""
    import kattn

    kind, precision = form.split(":")
    target = folder / {"saved_model": "m", "tflite": "m.tflite", "onnx": "m.onnx"}[kind]
    started = time.perf_counter()
    options: dict[str, Any] = {} if kind == "saved_model" else {"precision": precision}
    if precision == "int8":
        options |= {"calibration": calibration, "min_agreement": 0}  # random weights have no classes to agree on
    try:
        report = getattr(kattn.export, kind)(model, target, **options)
    except kattn.export.ExportError as error:
        return {"ok": False, "error": str(error), "seconds": time.perf_counter() - started}
    transposes = report.ops.get("Transpose", 0)
    return {
        "ok": transposes <= 2 or kind != "onnx",
        "error": f"{transposes} Transposes" if kind == "onnx" and transposes > 2 else "",
        "bytes": report.bytes,
        "max_abs_diff": report.max_abs_diff,
        "top1_agreement": report.top1_agreement,
        "ops": sum(report.ops.values()),
        "transposes": transposes,
        "xnnpack": report.delegates.get("XNNPACK", {}).get("note", ""),
        "seconds": time.perf_counter() - started,
    }


def rows_of(name: str, formats: list[str], size: int) -> list[dict[str, Any]]:
    """A model in every format."""
    import kattn
    from kattn.export.images import made_up

    shape = kattn.zoo.create(name).input_shape[1:]
    shape = shape if shape[0] and shape[0] <= size else (size, size, 3)
    model = kattn.zoo.create(name, input_shape=shape)
    calibration = made_up(16, shape, pixels=True)
    randomise(model, calibration)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for form in formats:
            row = {"model": name, "format": form, "shape": list(shape), "parameters": model.count_params()}
            rows.append(row | export_one(model, form, Path(folder), calibration))
            print(line_of(rows[-1]), file=sys.stderr, flush=True)
    return rows


def line_of(row: dict[str, Any]) -> str:
    head = f"{row['model']:28} {row['format']:20}"
    if "bytes" not in row:
        return f"{head} FAILED after {row['seconds']:.0f} s: {row['error'][:300]}"
    agreement = "" if row["top1_agreement"] is None else f"{row['top1_agreement']:.3f}"
    return (
        f"{head} {row['bytes']:>12,} {row['max_abs_diff']:>9.1e} {agreement:>6} {row['ops']:>5} ops "
        f"{row['transposes']} transposes {row['seconds']:6.1f} s  {row['xnnpack']} {row['error']}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", help="names instead of the product above")
    parser.add_argument("--formats", nargs="+", default=list(FORMATS), choices=FORMATS)
    parser.add_argument("--size", type=int, default=64, help="largest side of the images (default 64)")
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)  # a model in this process, as JSON
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(rows_of(arguments.models[0], arguments.formats, arguments.size)))
        return 0
    rows: list[dict[str, Any]] = []
    for name in arguments.models or models_of_the_grid():
        command = [sys.executable, __file__, "--one", "--models", name, "--size", str(arguments.size)]
        done = subprocess.run(
            [*command, "--formats", *arguments.formats], stdout=subprocess.PIPE, text=True, check=False
        )
        if done.returncode:
            rows.append(
                {"model": name, "format": "any", "ok": False, "error": f"status {done.returncode}", "seconds": 0.0}
            )
        else:
            rows.extend(json.loads(done.stdout.splitlines()[-1]))
        if arguments.json:
            arguments.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    failed = [row for row in rows if not row["ok"]]
    for row in rows:
        print(line_of(row))
    print(f"{len(rows) - len(failed)} of {len(rows)} exports right")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
