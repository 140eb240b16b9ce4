"""Every mechanism on every backbone in every format: does it export, how far is it from Keras, what is in its graph.

usage: python benchmarks/export_grid.py [--out grid.csv] [--models se_resnet20 ...] [--formats tflite:int8 ...]
    [--size 64]

Without arguments: {plain, SE, CBAM, BAM, GC, AFI, ABN, ECA, NL, SK} x {resnet20, resnet50, wide_resnet16_8,
densenet121, mobilenet_v2, resnext50_32x4d} x {SavedModel, TFLite float32, float16, dynamic, int8, ONNX float32, int8}:
about 100 seconds of processor time a large network, an hour and a half for all. Rows are appended to --out as they are
made; a run that was stopped goes on where it was. To repeat a combination delete its row.

Weights and normalisation statistics are random (a fold of zeros proves nothing), calibration and comparison images are
made up, so the figures are about conversion; for accuracy see int8_accuracy.py. ImageNet-style networks are built for
--size pixels, which leaves their graphs as they are; their weights have their full size.

Checked in every row, and counted as a failure: float32 within 1e-4 of Keras, float16 within 1e-2; in TFLite no Flex
operator, no tensor above 4 dimensions, no shape known at run time only; in ONNX no Transpose between the first
convolution and the last map, at most 2 in all, no Shape, Gather, Cast and no BatchNormalization. A mechanism that has
no place in a backbone must say so: its one row holds the error. Exit status 1 if anything fails.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from kattn.files import write_csv

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
MECHANISMS = ("", "se_", "cbam_", "bam_", "gc_", "afi_", "abn_", "eca_", "nl_", "sk_")
BACKBONES = ("resnet20", "wide_resnet16_8", "mobilenet_v2", "densenet121", "resnet50", "resnext50_32x4d")
FORMATS = (
    "saved_model:float32",
    "tflite:float32",
    "tflite:float16",
    "tflite:dynamic",
    "tflite:int8",
    "onnx:float32",
    "onnx:int8",
)
LARGEST = {"float32": 1e-4, "float16": 1e-2}
COLUMNS = [
    "model",
    "format",
    "ok",
    "error",
    "shape",
    "parameters",
    "bytes",
    "max_abs_diff",
    "top1_agreement",
    "ops",
    "flex",
    "rank",
    "dynamic",
    "transposes",
    "inside",
    "shape_gather_cast",
    "batch_norm",
    "xnnpack",
    "cpu_seconds",
]


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
    """One artefact's columns."""
    import kattn

    kind, precision = form.split(":")
    target = folder / {"saved_model": "m", "tflite": "m.tflite", "onnx": "m.onnx"}[kind]
    options: dict[str, Any] = {} if kind == "saved_model" else {"precision": precision}
    if precision == "int8":
        options |= {"calibration": calibration, "min_agreement": 0}  # random weights have no classes to agree on
    if precision in LARGEST:
        options["tolerance"] = LARGEST[precision]
    try:
        report = getattr(kattn.export, kind)(model, target, **options)
    except kattn.export.ExportError as error:
        return {"ok": False, "error": " ".join(str(error).split())[:400]}
    row: dict[str, Any] = {
        "bytes": report.bytes,
        "max_abs_diff": f"{report.max_abs_diff:.2e}",
        "top1_agreement": report.top1_agreement,
        "ops": sum(report.ops.values()),
        "xnnpack": report.delegates.get("XNNPACK", {}).get("note", ""),
    }
    row |= tflite_counts(target) if kind == "tflite" else onnx_counts(target) if kind == "onnx" else {}
    wrong = [f"{name}={row[name]}" for name, most in LIMITS.items() if name in row and row[name] > most]
    if report.max_abs_diff > LARGEST.get(precision, float("inf")):
        wrong.append(f"max_abs_diff={row['max_abs_diff']}")
    return row | {"ok": not wrong, "error": " ".join(wrong)}


LIMITS = {"flex": 0, "rank": 4, "dynamic": 0, "transposes": 2, "inside": 0, "shape_gather_cast": 0, "batch_norm": 0}


def tflite_counts(path: Path) -> dict[str, int]:
    """Read from the file itself, not from the exporter's report."""
    from kattn.export.to_tflite.findings import DYNAMIC
    from kattn.export.to_tflite.graph import read_tflite

    graph = read_tflite(path)
    return {
        "flex": sum(count for name, count in graph.histogram.items() if name.startswith(("Flex", "CUSTOM"))),
        "rank": graph.highest_rank,
        "dynamic": sum(
            operator.name in DYNAMIC or any(-1 in tensor.signature for tensor in operator.outputs)
            for operator in graph.operators
        ),
    }


def onnx_counts(path: Path) -> dict[str, int]:
    """Read from the file itself; a Transpose is inside if a convolution or product comes both before and after it."""
    import onnx

    graph = onnx.load(path, load_external_data=False).graph
    work = ("Conv", "MatMul", "Gemm", "Einsum")
    maker = {name: node for node in graph.node for name in node.output}
    users: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)

    def reaches(node: Any, forward: bool) -> bool:
        seen, waiting = set(), [node]
        while waiting:
            one = waiting.pop()
            found = (
                [user for name in one.output for user in users.get(name, [])]
                if forward
                else [maker[name] for name in one.input if name in maker]
            )
            for other in found:
                if other.op_type in work:
                    return True
                if other.output[0] not in seen:
                    seen.add(other.output[0])
                    waiting.append(other)
        return False

    transposes = [node for node in graph.node if node.op_type == "Transpose"]
    return {
        "transposes": len(transposes),
        "inside": sum(reaches(node, True) and reaches(node, False) for node in transposes),
        "shape_gather_cast": sum(node.op_type in ("Shape", "Gather", "Cast") for node in graph.node),
        "batch_norm": sum(node.op_type == "BatchNormalization" for node in graph.node),
    }


def rows_of(name: str, formats: list[str], size: int) -> Any:
    """A model in every format, a row after the other."""
    import keras

    import kattn
    from kattn.facts.made_up import made_up

    keras.backend.clear_session(free_memory=True)
    try:
        catalogued = name in kattn.zoo.list_models()
        shape = kattn.zoo.info(name).input_shape if catalogued else kattn.zoo.create(name).input_shape[1:]
    except ValueError as error:
        said = str(error)
        # The mechanism's position is missing: an answer, not a failure. Anything else is one.
        yield {"model": name, "format": "any", "ok": "has no place in" in said, "error": said}
        return
    shape = shape if shape[0] <= size else (size, size, 3)
    model = kattn.zoo.create(name, input_shape=shape)
    calibration = made_up(16, shape, value_range=(0, 255))
    randomise(model, calibration)
    with tempfile.TemporaryDirectory() as folder:
        for form in formats:
            started = time.process_time()
            row = {
                "model": name,
                "format": form,
                "shape": "x".join(map(str, shape)),
                "parameters": model.count_params(),
            }
            row |= export_one(model, form, Path(folder), calibration)
            shutil.rmtree(folder, ignore_errors=True)
            Path(folder).mkdir()
            yield row | {"cpu_seconds": round(time.process_time() - started, 1)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", help="names instead of the product above")
    parser.add_argument("--formats", nargs="+", default=list(FORMATS), choices=FORMATS)
    parser.add_argument("--size", type=int, default=64, help="largest side of the images (default 64)")
    parser.add_argument("--out", type=Path, default=Path("export_grid.csv"), help="where the rows go")
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    if arguments.out.exists():
        with arguments.out.open(newline="") as file:
            rows = list(csv.DictReader(file))
    done = {(row["model"], row["format"]) for row in rows}
    names = arguments.models or [f"{mechanism}{backbone}" for backbone in BACKBONES for mechanism in MECHANISMS]
    for name in names:
        left = [form for form in arguments.formats if (name, form) not in done and (name, "any") not in done]
        for row in rows_of(name, left, arguments.size) if left else ():
            rows.append({key: str(value) for key, value in row.items()})
            write_csv(arguments.out, rows, COLUMNS)
            print(*(row.get(c, "") for c in COLUMNS if c not in ("shape", "parameters")), flush=True)
    failed = [row for row in rows if row["ok"] != "True"]
    for row in failed:
        print("FAILED", row["model"], row["format"], row["error"])
    print(f"{len(rows) - len(failed)} of {len(rows)} rows right")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
