"""What 8 bits cost on real images: every mechanism trained on CIFAR-10, exported, and evaluated on the test images.

usage: python benchmarks/int8_accuracy.py [--data-dir FOLDER] [--models gc_resnet20 ...] [--out int8_accuracy.csv]
    [--runs runs/int8] [--train 10000] [--steps 320] [--test 5000]

Without --models: {plain, SE, CBAM, BAM, GC, AFI, ABN} x {resnet20, mobilenet_v2_cifar}. The ResNet-20s have weights in
the package, which are taken. Others are trained for --steps batches of 128 on the first --train training images (five
to eight minutes of one core; far from converged, which is harder on 8 bits than a trained network: margins are
narrower). A run that is in --runs is used as it is, so networks trained longer by `kattn train` can be put there:
RUNS/<model>.

A row an artefact: accuracy of Keras in float32 and of the artefact on the same test images, the difference in points
(1 is allowed), the share of images on which both give the same class, and the layers that add most error; or that the
export was refused, and why. Rows are appended to --out as they are made, and a run that was stopped goes on where it
was. Exit status 1 if a TFLite or ONNX int8 file is refused or loses more than a point.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from kattn.files import write_csv

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
MECHANISMS = ("", "se_", "cbam_", "bam_", "gc_", "afi_", "abn_")
BACKBONES = ("resnet20", "mobilenet_v2_cifar")
FORMATS = ("tflite:int8", "onnx:int8", "tflite:int16")
ALLOWED = 1.0  # points
COLUMNS = ["model", "format", "images", "keras", "artefact", "lost", "same_class", "why"]
RECIPE = {
    "batch_size": 128,
    "learning_rate": 0.1,
    "nesterov": True,
    "weight_decay": 5e-4,
    "schedule": "cosine",
    "warmup_epochs": 1,
    "shift": 0.125,
    "flip": True,
}


def trained(name: str, data: Any, folder: Path, steps: int) -> Any:
    """The network of a finished run, or of the weights in the package; trained first where there is neither."""
    import kattn
    from kattn.runs.folder import RunFolder
    from kattn.training.run import open_run

    if RunFolder(folder).finished:
        return open_run(folder).model
    if "cifar10.kattn" in kattn.zoo.info(name).weights:
        return kattn.zoo.create(name, weights="cifar10.kattn")
    epochs = max(1, round(steps * RECIPE["batch_size"] / len(data["train"][0])))
    run = kattn.train(
        name,
        data=data,
        recipe=RECIPE | {"epochs": epochs},
        out=folder,
        validation=0.01,
        resume=True,
        verbose=True,
    )
    return run.model


def row_of(network: Any, name: str, form: str, train: np.ndarray, test: Any) -> dict[str, Any]:
    """Export one artefact and evaluate it."""
    import kattn
    from kattn.export.source.model import run_keras

    kind, precision = form.split(":")
    images, labels = test
    expected = run_keras(*_only_predictions(network), images.astype("float32"))["predictions"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"m.{kind}"
        try:
            report = getattr(kattn.export, kind)(
                network, path, precision=precision, calibration=train.astype("float32"), min_agreement=0
            )
        except kattn.export.ExportError as error:
            return dict.fromkeys(COLUMNS, "") | {
                "model": name,
                "format": form,
                "artefact": "refused",
                "why": str(error),
            }
        got = kattn.export.load(path)(images)["predictions"]
    keras_right, right = ((p.argmax(1) == labels).mean() * 100 for p in (expected, got))
    worst = [row for row in report.layers if row["found"] == "among the worst"][:3]
    return {
        "model": name,
        "format": form,
        "images": len(images),
        "keras": f"{keras_right:.2f}",
        "artefact": f"{right:.2f}",
        "lost": f"{keras_right - right:.2f}",
        "same_class": f"{(expected.argmax(1) == got.argmax(1)).mean():.4f}",
        "why": "; ".join(f"{row['operator']} {row['layer']} +{row['added']:.2f}" for row in worst),
    }


def _only_predictions(network: Any) -> tuple[Any, tuple[str, ...]]:
    """The network with its prediction as the one output (ABN has two)."""
    import keras

    output = network.output["predictions"] if isinstance(network.output, dict) else network.output
    return keras.Model(network.inputs, {"predictions": output}), ("predictions",)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", help="where TFDS keeps cifar10 (default: TFDS's own choice)")
    parser.add_argument("--models", nargs="+", help="names instead of the product above")
    parser.add_argument("--formats", nargs="+", default=list(FORMATS), choices=FORMATS)
    parser.add_argument("--runs", type=Path, default=Path("runs/int8"))
    parser.add_argument("--train", type=int, default=10000, help="training images (default 10000)")
    parser.add_argument("--steps", type=int, default=320, help="training batches of 128 images (default 320)")
    parser.add_argument("--test", type=int, default=5000, help="test images (default 5000)")
    parser.add_argument("--out", type=Path, default=Path("int8_accuracy.csv"))
    arguments = parser.parse_args()
    import kattn.data

    whole = kattn.data.load("cifar10", data_dir=arguments.data_dir, validation=0.0)
    train = (whole.train.images[: arguments.train], whole.train.labels[: arguments.train])
    test = (whole.test.images[: arguments.test], whole.test.labels[: arguments.test])
    # The trainer's own evaluation needs no more than a few images: the figures are made here.
    data = {"train": train, "test": (test[0][:500], test[1][:500])}
    rows: list[dict[str, Any]] = []
    if arguments.out.exists():
        with arguments.out.open(newline="") as file:
            rows = list(csv.DictReader(file))
    done = {(row["model"], row["format"]) for row in rows}
    names = arguments.models or [f"{mechanism}{backbone}" for backbone in BACKBONES for mechanism in MECHANISMS]
    for name in names:
        left = [form for form in arguments.formats if (name, form) not in done]
        if not left:
            continue
        network = trained(name, data, arguments.runs / name, arguments.steps)
        for form in left:
            rows.append(row_of(network, name, form, train[0], test))
            write_csv(arguments.out, rows, COLUMNS)
            print(*rows[-1].values(), flush=True)
    eight = [row for row in rows if row["format"].endswith("int8")]
    lossy = [row for row in eight if row["artefact"] == "refused" or float(row["lost"]) > ALLOWED]
    for row in lossy:
        print("TOO MUCH", row["model"], row["format"], row["lost"] or row["why"])
    print(f"{len(eight) - len(lossy)} of {len(eight)} int8 artefacts within {ALLOWED} points")
    return 1 if lossy else 0


if __name__ == "__main__":
    sys.exit(main())
