"""Whether attention inserted into a trained network gains anything: fine-tuning with and without it, alike otherwise.

usage: python benchmarks/insertion_gain.py [--data-dir FOLDER] [--mechanisms se gc] [--seeds 3] [--epochs 12]
       [--tuning-epochs 3] [--runs runs/insertion_gain] [--csv docs/insertion_gain.csv]

A ResNet-8 written in plain Keras is trained on CIFAR-10. Then, for each seed, it is trained on for --tuning-epochs: as
it is ("none"), and with attention inserted at the end of its residual branches by `kattn.insert` (identity start).
The same recipe, images, order and augmentation for all of one seed. A row a run; then the means over the seeds, their
spread, and the difference to "none" seed by seed. What is in --runs is used, so a stopped benchmark goes on.
"""

from __future__ import annotations

import argparse
import os
import statistics
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

import kattn
from kattn.files import write_csv

FIELDS = ("mechanism", "seed", "epochs", "parameters", "top1", "loss", "scale")
TRAINING = {"learning_rate": 0.2, "warmup_epochs": 1}
TUNING = {"learning_rate": 0.02, "warmup_epochs": 0}


def resnet8() -> Any:
    """Three blocks of 16, 32 and 64 channels."""
    kl = keras.layers
    image = keras.Input((32, 32, 3))
    x = kl.Rescaling(1 / 64, -2)(image)

    def conv(x: Any, filters: int, size: int, strides: int = 1) -> Any:
        options = {"padding": "same", "use_bias": False, "kernel_initializer": "he_normal"}
        return kl.BatchNormalization()(kl.Conv2D(filters, size, strides, **options)(x))

    x = kl.ReLU()(conv(x, 16, 3))
    for filters in (16, 32, 64):
        strides = 1 if filters == 16 else 2
        y = conv(kl.ReLU()(conv(x, filters, 3, strides)), filters, 3)
        x = kl.ReLU()(kl.Add()([y, x if strides == 1 else conv(x, filters, 1, strides)]))
    x = kl.GlobalAveragePooling2D()(x)
    return keras.Model(image, kl.Dense(10, activation="softmax")(x), name="resnet8")


def row(mechanism: str, seed: int, run: Any) -> dict[str, Any]:
    scales = [layer.scale for layer in run.model.layers if isinstance(layer, kattn.layers.ReZero)]
    return {
        "mechanism": mechanism,
        "seed": seed,
        "epochs": len(run.history),
        "parameters": run.model.count_params(),
        "top1": run.evaluation.top1,
        "loss": run.evaluation.loss,
        "scale": " ".join(f"{float(scale):.3f}" for scale in map(keras.ops.convert_to_numpy, scales)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir")
    parser.add_argument("--mechanisms", nargs="+", default=["se", "gc"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--tuning-epochs", type=int, default=3)
    parser.add_argument("--limit", type=int, help="images of each split, to try the script")
    parser.add_argument("--runs", type=Path, default=Path("runs/insertion_gain"))
    parser.add_argument("--csv", type=Path)
    arguments = parser.parse_args()
    common: dict[str, Any] = {"data": "cifar10", "recipe": "cifar_short", "data_dir": arguments.data_dir}
    common |= {"limit": arguments.limit, "resume": True}
    keras.utils.set_random_seed(0)
    base = kattn.train(
        resnet8(), out=arguments.runs / "base", overrides=TRAINING | {"epochs": arguments.epochs}, **common
    )
    rows = [row("before", 0, base)]
    for seed in range(1, arguments.seeds + 1):
        for mechanism in ("none", *arguments.mechanisms):
            keras.utils.set_random_seed(seed)
            model = keras.models.clone_model(base.model)
            model.set_weights(base.model.get_weights())
            if mechanism != "none":
                model = kattn.insert(model, mechanism)
            overrides = TUNING | {"epochs": arguments.tuning_epochs}
            run = kattn.train(
                model, out=arguments.runs / f"{mechanism}-{seed}", seed=seed, overrides=overrides, **common
            )
            rows.append(row(mechanism, seed, run))
    if arguments.csv:
        write_csv(arguments.csv, rows, FIELDS)
    plain = [one["top1"] for one in rows if one["mechanism"] == "none"]
    print(f"before: {rows[0]['top1']:.4f}, {rows[0]['parameters']:,} parameters")
    for mechanism in ("none", *arguments.mechanisms):
        of = [one for one in rows if one["mechanism"] == mechanism]
        seen = [one["top1"] for one in of]
        gains = [100 * (a - b) for a, b in zip(seen, plain, strict=True)]
        print(
            f"{mechanism:<8}{of[0]['parameters']:>9,} parameters   top-1 {statistics.mean(seen):.4f} "
            f"({min(seen):.4f} to {max(seen):.4f})   points above none, by seed: "
            + " ".join(f"{gain:+.2f}" for gain in gains)
        )


if __name__ == "__main__":
    main()
