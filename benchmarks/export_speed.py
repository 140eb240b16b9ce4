"""How fast the exported files are: against timm's, against float32, and what each mechanism adds to a ResNet-50.

usage: python benchmarks/export_speed.py --make-peers peers      (torch, timm, onnx: may be another environment)
       python benchmarks/export_speed.py --peers peers [--only peers int8 mechanisms] [--out speed.json]

Batch 1, 224x224, one thread, processor time of the whole process. All files of one comparison run in turns in one
process, a few calls each, forwards and backwards by turns; the figure is the median over rounds of the ratio to the
first file of the same round, with the 10th and 90th percentile, so that a change of the machine's load meets both
sides. Weights are random: they do not change what is computed. int8 needs a processor with integer dot products (VNNI,
Arm dotprod) to be worth it; the ranges come from made-up images, which do not change the time either.

Limits: ours / timm's at most 1.00 within the spread; ONNX int8 / float32 at most 0.32 (resnet50, se_resnet50) and 0.50
(mobilenet_v2); TFLite int8 / float32 at most 0.30 (resnet50) and 0.50 (mobilenet_v2); se_resnet50 / resnet50 at most
1.08. Exit status 1 if one is passed.
"""

from __future__ import annotations

import argparse
import importlib.abc
import importlib.machinery
import os
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
PEERS = {"resnet50": "resnet50", "se_resnet50": "seresnet50", "mobilenet_v2": "mobilenetv2_100"}
MECHANISMS = ("se", "eca", "cbam", "bam", "gc", "nl", "afi", "abn", "sk")
INT8_ONNX = {"resnet50": 0.32, "se_resnet50": 0.32, "mobilenet_v2": 0.50}
INT8_TFLITE = {"resnet50": 0.30, "mobilenet_v2": 0.50}
SE_OVER_PLAIN = 1.08
CALLS = 3  # of one file in a row


def make_peers(folder: Path) -> None:
    """timm's networks by torch.onnx, as their users export them: opset 17, batch open, constants folded."""
    import torch

    try:
        import torchvision  # noqa: F401
    except Exception:  # there is none for this torch, or it does not load
        sys.meta_path.insert(0, StandIn())
    import timm

    folder.mkdir(parents=True, exist_ok=True)
    for name in PEERS.values():
        network = timm.create_model(name, pretrained=False).eval()
        torch.onnx.export(
            network,
            (torch.randn(1, 3, 224, 224),),
            str(folder / f"{name}.onnx"),
            opset_version=17,
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
            dynamo=False,
        )
        print(name, "written")


class StandIn(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives timm a torchvision to import from: of it these three networks use nothing."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """It makes torchvision and whatever lies in it."""
        known = name.split(".")[0] == "torchvision"
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if known else None

    def create_module(self, spec: Any) -> Any:
        """A module that has every name."""
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            if not getattr(sys.modules[name], "stands_in", False):
                del sys.modules[name]  # what the failed import left
        module = types.ModuleType(spec.name)
        module.stands_in = True  # type: ignore[attr-defined]
        module.__getattr__ = lambda name: _Nothing(name, (), {}) if name[:2] != "__" else _missing(name)  # type: ignore[method-assign]
        return module

    def exec_module(self, module: Any) -> None:
        """Nothing to run."""


class _Nothing(type):
    """A class whose attributes are their names."""

    def __getattr__(cls, name: str) -> str:
        return name if name[:2] != "__" else _missing(name)


def _missing(name: str) -> Any:
    raise AttributeError(name)


def in_turns(files: Sequence[Path], rounds: int) -> list[dict[str, float]]:
    """Processor time of each file, and its ratio to the first one's in the same round."""
    import numpy as np

    from kattn.export import load
    from kattn.facts.made_up import made_up

    runners = [load(path, threads=1) for path in files]
    tensors = [runner.encode(made_up(1, _shape(runner.shape), value_range=(0, 255))) for runner in runners]
    for runner, tensor in zip(runners, tensors, strict=True):
        for _ in range(CALLS):
            runner.run(tensor)
    times = np.zeros((rounds, len(files)))
    for number in range(rounds):
        order = range(len(files)) if number % 2 == 0 else range(len(files))[::-1]
        for index in order:
            started = time.process_time()
            for _ in range(CALLS):
                runners[index].run(tensors[index])
            times[number, index] = (time.process_time() - started) / CALLS * 1e3
    ratios = times / times[:, :1]
    return [
        {
            "cpu_ms": round(float(np.median(times[:, i])), 3),
            "ratio": round(float(np.median(ratios[:, i])), 3),
            "low": round(float(np.percentile(ratios[:, i], 10)), 3),
            "high": round(float(np.percentile(ratios[:, i], 90)), 3),
        }
        for i in range(len(files))
    ]


def _shape(shape: Sequence[int | None]) -> tuple[int, ...]:
    return tuple(224 if size is None else size for size in shape)


def export(name: str, form: str, folder: Path) -> Path:
    """One file of ours, made once, in a process of its own: converters keep gigabytes."""
    kind, precision = form.split(":")
    path = folder / f"{name}_{precision}.{kind}"
    if not path.exists():
        subprocess.run([sys.executable, __file__, "--make", name, form, str(path)], check=True)
    return path


def make(name: str, form: str, path: Path) -> None:
    """A zoo model in its default size as one file."""
    import kattn
    from kattn.facts.made_up import made_up

    kind, precision = form.split(":")
    options: dict[str, Any] = {"layout": "nchw"} if kind == "onnx" else {}
    if precision == "int8":
        options |= {"calibration": made_up(8, (224, 224, 3), value_range=(0, 255)), "min_agreement": 0}
    getattr(kattn.export, kind)(kattn.zoo.create(name), path, precision=precision, **options)


def against_peers(folder: Path, peers: Path, rounds: int) -> list[dict[str, Any]]:
    """Ours over timm's, both in channels-first."""
    rows = []
    for name, peer in PEERS.items():
        theirs, ours = in_turns([peers / f"{peer}.onnx", export(name, "onnx:float32", folder)], rounds)
        rows.append({"what": f"onnx {name} / timm {peer}", "limit": 1.0, "peer_ms": theirs["cpu_ms"], **ours})
        rows[-1]["ok"] = ours["low"] <= 1.0
        print(line_of(rows[-1]), flush=True)
    return rows


def integers(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """int8 over float32."""
    rows = []
    for kind, limits in (("onnx", INT8_ONNX), ("tflite", INT8_TFLITE)):
        for name, limit in limits.items():
            exact, eight = (export(name, f"{kind}:{precision}", folder) for precision in ("float32", "int8"))
            row = in_turns([exact, eight], rounds)[1]
            rows.append({"what": f"{kind} {name} int8 / float32", "limit": limit, **row, "ok": row["ratio"] <= limit})
            print(line_of(rows[-1]), flush=True)
    return rows


def mechanisms(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """What each mechanism adds to ResNet-50: share of time against share of multiplications."""
    import kattn

    plain = kattn.zoo.info("resnet50")
    rows = []
    for kind in ("onnx", "tflite"):
        names = [f"{mechanism}_resnet50" for mechanism in MECHANISMS]
        files = [export(name, f"{kind}:float32", folder) for name in ("resnet50", *names)]
        for name, row in zip(names, in_turns(files, rounds)[1:], strict=True):
            info = kattn.zoo.info(name)
            total = info.macs + info.matmul_macs
            row |= {"macs_ratio": round(total / (plain.macs + plain.matmul_macs), 3)}
            limit = SE_OVER_PLAIN if name == "se_resnet50" else None
            rows.append({"what": f"{kind} {name} / resnet50", "limit": limit, **row})
            rows[-1]["ok"] = limit is None or row["ratio"] <= limit
            print(line_of(rows[-1]), flush=True)
    return rows


def line_of(row: dict[str, Any]) -> str:
    limit = "" if row["limit"] is None else f"limit {row['limit']:.2f} {'' if row['ok'] else 'PASSED'}"
    macs = f"multiplications {row['macs_ratio']:.3f} " if "macs_ratio" in row else ""
    return (
        f"{row['what']:42} {row['cpu_ms']:9.2f} ms  ratio {row['ratio']:.3f} ({row['low']:.3f}-{row['high']:.3f})  "
        f"{macs}{limit}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--make-peers", type=Path, help="write timm's networks as ONNX here, and stop")
    parser.add_argument("--peers", type=Path, help="where they are; without it that comparison is left out")
    parser.add_argument("--only", nargs="+", choices=("peers", "int8", "mechanisms"))
    parser.add_argument("--files", type=Path, help="keep our files here (they are made once)")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--out", type=Path, help="write the rows as JSON")
    parser.add_argument("--make", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.make:
        make(arguments.make[0], arguments.make[1], Path(arguments.make[2]))
        return 0
    if arguments.make_peers:
        make_peers(arguments.make_peers)
        return 0
    wanted = arguments.only or ["peers", "int8", "mechanisms"]
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.files or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if "peers" in wanted and arguments.peers:
            rows += against_peers(folder, arguments.peers, arguments.rounds)
        if "int8" in wanted:
            rows += integers(folder, arguments.rounds)
        if "mechanisms" in wanted:
            rows += mechanisms(folder, arguments.rounds)
    if arguments.out:
        from kattn.files import write_json

        write_json(arguments.out, rows)
    return 0 if all(row["ok"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
