"""`python -m kattn.publish runs RUN...`: finished runs into the table of results, and their weights into the package.

usage: python -m kattn.publish runs RUN [RUN ...] [--weights] [--machine TEXT] [--note TEXT]

For each run: the model is exported to TFLite (int8) and ONNX, and everything is evaluated on the run's test images. A
row of a run that the table has is replaced. --weights also stores the weights of these runs, kernels in half precision,
as `weights="<data>"` of their model; the accuracy stated with them is that of the stored file, read back.
Then `python -m kattn.publish catalog` and `python -m kattn.publish results docs` bring the pages up to date.

Only runs that one command repeats are taken: of a committed recipe, on whole data, with nothing but the epochs changed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shlex
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import kattn
from kattn.data.loading import load
from kattn.publish import results
from kattn.publish.results import Epoch, Result
from kattn.training.recipes import Recipe, load_recipe
from kattn.training.run import open_run
from kattn.zoo.weights import manifest

CALIBRATION_IMAGES = 500
LICENSE = "Apache-2.0"
HEADER = """\
# Weights that were trained by this project and come with the package; written by `python -m kattn.publish runs`.
# The fields are those of kattn.zoo.weights.manifest.Entry. How the networks compare: docs/results.md.
"""


def epochs_changed(config: Mapping[str, Any]) -> int | None:
    """The epochs of a run where they are not its recipe's.

    Raises: ValueError for a run that `command` could not repeat.
    """
    stored = dict(config["recipe"])
    name = stored.pop("name")
    texts = {"summary", "source"}  # may be worded anew
    ran = Recipe(**stored | {"milestones": tuple(stored["milestones"])}).as_dict()
    differ: list[str] = []
    for epochs in (None, ran["epochs"]):
        try:
            committed = load_recipe(name, {} if epochs is None else {"epochs": epochs}).as_dict()
        except ValueError as problem:
            raise ValueError(f"{config['model']}: not of a committed recipe: {problem}") from None
        differ = [key for key in ran if key not in texts and committed[key] != ran[key]]
        if not differ:
            return epochs
    raise ValueError(f"{config['model']}: the run differs from the recipe {name} in {', '.join(differ)}.")


def command(config: Mapping[str, Any]) -> str:
    """The command that repeats a run. Raises ValueError where there is none."""
    spec, settings = config["data"]["spec"], config["data"]["settings"]
    usual = {"image_size": None, "validation": 0.1, "split_seed": 0, "on_error": "raise"}
    unusual = [key for key, value in usual.items() if settings.get(key, value) != value]
    if spec is None or config["data"]["limit"] is not None or unusual or config["precision"] != "float32":
        raise ValueError(
            f"{config['model']}: only runs in float32 on whole data with the usual splits are published. Received: "
            f"data={spec!r}, limit={config['data']['limit']}, precision={config['precision']!r}"
            + "".join(f", {key}={settings[key]!r}" for key in unusual)
        )
    words = ["kattn", "train", config["model"], "--data", spec, "--recipe", config["recipe"]["name"]]
    if (epochs := epochs_changed(config)) is not None:
        words += ["--epochs", str(epochs)]
    for key, value in config["options"].items():
        words += ["--set", f"{key}={value}"]
    return shlex.join([*words, "--seed", str(config["seed"])])


def history_of(run: Any) -> list[Epoch]:
    """The epochs of a run, by its main output."""
    from kattn.graph.targets import main_output

    main = main_output(run.model)
    names = (
        {"loss": "loss", "accuracy": "accuracy"}
        if main is None
        else {"loss": f"{main}_loss", "accuracy": f"{main}_accuracy"}
    )
    found = []
    for row in run.history:
        values: dict[str, Any] = {key: round(float(row[name]), 6) for key, name in names.items()}
        values |= {f"val_{key}": round(float(row[f"val_{name}"]), 6) for key, name in names.items()}
        found.append(Epoch(**_identity(run), epoch=int(row["epoch"]), **values))
    return found


def result_of(run: Any, machine: str, note: str) -> Result:
    """The row of a run: its exports are made and evaluated here."""
    line = command(run.config)
    config = run.config
    settings = {"data": config["data"]["spec"]}
    train = load(**settings, splits=("train",)).train.images[:CALIBRATION_IMAGES].astype("float32")
    accuracy = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind, precision in (("tflite", "int8"), ("onnx", "float32")):
            file = Path(folder) / f"model.{kind}"
            getattr(kattn.export, kind)(run.model, file, precision=precision, calibration=train)
            accuracy[kind] = kattn.evaluate(file, **settings).accuracy
    cost = kattn.profile(run.model)
    images = config["data"]["images"]["train"]
    return Result(
        **_identity(run),
        images=images,
        steps=len(run.history) * max(1, images // config["recipe"]["batch_size"]),
        top1=_percent(run.evaluation.accuracy),
        tflite_int8=_percent(accuracy["tflite"]),
        onnx=_percent(accuracy["onnx"]),
        loss=round(run.evaluation.loss, 4),
        calibration_error=round(run.evaluation.calibration_error, 4),
        parameters=cost.parameters,
        macs=cost.macs,
        backend=config["backend"],
        machine=machine,
        versions=_versions(config),
        note=note,
        command=line,
    )


def store(run: Any, note: str) -> dict[str, Any]:
    """Write a run's weights into the package; the row that describes them."""
    from kattn.zoo.tables import rows as rows_of
    from kattn.zoo.weights.loading import save_weights

    config = run.config
    _, backbone = rows_of(config["model"])
    data, classes = config["data"]["name"], config["data"]["classes"]
    options = dict(config["options"])
    mean, std = (list(options.pop(key, getattr(backbone, key))) for key in ("mean", "std"))
    about = {"model": config["model"], "options": {**options, "classes": classes, "mean": mean, "std": std}}
    name = f"trained/{config['model']}-{data}.weights.h5"
    path = save_weights(run.model, results.path_of(f"weights/{name}"), half=True, about=about)
    shape = tuple(config["data"]["image_shape"])
    again = kattn.evaluate(kattn.zoo.create(config["model"], weights=path, input_shape=shape), config["data"]["spec"])
    row = {
        "model": config["model"],
        "tag": f"{data}.kattn",
        "default": True,
        "file": name,
        "hash": f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}",
        "classes": classes,
        "input_shape": list(shape),
        "mean": mean,
        "std": std,
        "license": LICENSE,
        "metric": f"{_percent(again.accuracy):.2f} % top-1",
        "metric_source": f"kattn, {again.images:,} test images of {data}",
        "verified": "logits",
        "recipe": config["recipe"]["name"],
        "seed": config["seed"],
        "command": command(config),
        "note": "; ".join(filter(None, (note, _versions(config)))),
    }
    if options:
        row["options"] = options
    return row


def described(rows: Sequence[Mapping[str, Any]]) -> str:
    """The manifest of these rows."""
    blocks = []
    for row in sorted(rows, key=lambda row: (row["model"], row["tag"])):
        lines = [f"{key} = {_toml(value)}" for key, value in row.items()]
        blocks.append("\n".join(["[[weights]]", *lines]))
    return "\n\n".join([HEADER.rstrip(), *blocks]) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)


def _identity(run: Any) -> dict[str, Any]:
    config = run.config
    return {
        "model": config["model"],
        "data": config["data"]["name"],
        "recipe": config["recipe"]["name"],
        "epochs": config["recipe"]["epochs"],
        "seed": config["seed"],
    }


def _versions(config: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in config["versions"].items() if key != "machine")


def _percent(share: float) -> float:
    return round(100 * share, 2)


def _stored_rows() -> list[dict[str, Any]]:
    path = results.path_of(f"weights/{manifest.TRAINED}")
    return tomllib.loads(path.read_text(encoding="utf-8")).get("weights", []) if path.is_file() else []


def publish(runs: Sequence[str | Path], *, weights: bool = False, machine: str, note: str = "") -> None:
    """Add runs to the table, and their weights to the package where `weights`.

    Raises: RunError for a folder without a finished run; ValueError for a run that no command repeats.
    """
    opened = [open_run(run) for run in runs]
    for run in opened:
        command(run.config)  # all of them are checked before the first is worked on
    for run in opened:
        row = result_of(run, machine, note)
        results.write(results.TABLE, results.merged(results.results(), [row]))
        results.write(results.HISTORY, results.merged(results.history(), history_of(run)))
        print(f"{row.command}: {row.top1:.2f} %, TFLite int8 {row.tflite_int8:.2f}, ONNX {row.onnx:.2f}", flush=True)
        if weights:
            new = store(run, note)
            others = [one for one in _stored_rows() if (one["model"], one["tag"]) != (new["model"], new["tag"])]
            results.replace(results.path_of(f"weights/{manifest.TRAINED}"), described([*others, new]))
            print(f"    {new['file']}: {new['metric']}", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Publish what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folders of finished runs")
    parser.add_argument("--weights", action="store_true", help="store their weights in the package too")
    parser.add_argument("--machine", required=True, help='where they were trained: "one core of ..., no GPU"')
    parser.add_argument("--note", default="", help="what else to know of the data")
    chosen = parser.parse_args(arguments)
    publish(chosen.runs, weights=chosen.weights, machine=chosen.machine, note=chosen.note)


if __name__ == "__main__":
    main(sys.argv[1:])
