"""What the conventions of training do to the accuracy: short runs on CIFAR-10 with the kattn that is on the path.

usage: PYTHONPATH=CHECKOUT python benchmarks/conventions.py NAME --csv FILE [--data-dir FOLDER] [--models resnet20 ...]
       [--seeds 2] [--recipe cifar_short] [--epochs 4] [--limit 6000] [--precision float32] [--options alpha=0.5 ...]
       [--set batch_size=32 ...]

Start it once with a checkout of the commit before the change and once with the one behind it, both with the same FILE.
A row a run, written as it ends; runs that FILE has are left out.
"""

from __future__ import annotations

import argparse
import csv
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

FIELDS = ("conventions", "model", "seed", "recipe", "epochs", "images", "top1", "loss", "training_loss", "seconds")


def numbers(given: list[str]) -> dict[str, float]:
    return {name: float(value) for name, value in (one.split("=") for one in given)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="what the rows call these conventions, such as before")
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--data-dir")
    parser.add_argument("--models", nargs="+", default=["resnet20", "mobilenet_v2_cifar"])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--recipe", default="cifar_short")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--limit", type=int, default=6000)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--options", nargs="*", default=[], metavar="NAME=NUMBER", help="of the models")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="FIELD=NUMBER", help="of the recipe, such as batch_size=32"
    )
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = os.environ["TF_NUM_INTRAOP_THREADS"] = str(chosen.threads)
    os.environ["TF_NUM_INTEROP_THREADS"] = "1"

    import kattn

    new = not chosen.csv.exists()
    done = set()
    if not new:
        with chosen.csv.open(encoding="utf-8", newline="") as file:
            done = {(row["conventions"], row["model"], int(row["seed"])) for row in csv.DictReader(file)}
    with chosen.csv.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        if new:
            writer.writeheader()
        for seed in range(chosen.seeds):
            for model in chosen.models:
                if (chosen.name, model, seed) in done:
                    continue
                start = time.process_time()
                with tempfile.TemporaryDirectory() as folder:
                    run = kattn.train(
                        model,
                        data="cifar10",
                        data_dir=chosen.data_dir,
                        recipe=chosen.recipe,
                        overrides={"epochs": chosen.epochs, **numbers(chosen.set)},
                        limit=chosen.limit,
                        precision=chosen.precision,
                        options=numbers(chosen.options),
                        seed=seed,
                        out=Path(folder) / "run",
                    )
                row = {
                    "conventions": chosen.name,
                    "model": model,
                    "seed": seed,
                    "recipe": chosen.recipe,
                    "epochs": chosen.epochs,
                    "images": chosen.limit,
                    "top1": f"{run.evaluation.top1:.4f}",
                    "loss": f"{run.evaluation.loss:.4f}",
                    "training_loss": f"{run.history[-1]['loss']:.4f}",
                    "seconds": round(time.process_time() - start),
                }
                writer.writerow(row)
                file.flush()


if __name__ == "__main__":
    main()
