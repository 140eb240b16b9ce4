"""Weights that were trained by this project: stored in the package, and described in its manifest."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from kattn.evaluation.evaluation import evaluate
from kattn.files import write_text
from kattn.publish import checkout
from kattn.publish.repeating import command, percent, versions_of
from kattn.zoo.tables import builder
from kattn.zoo.tables import rows as rows_of
from kattn.zoo.weights import manifest
from kattn.zoo.weights.saving import save_weights

LICENSE = "Apache-2.0"
HEADER = """\
# Weights that were trained by this project and come with the package; written by `python -m kattn.publish runs`.
# The fields are those of kattn.zoo.weights.manifest.Entry. How the networks compare: docs/results.md.
"""


def store(run: Any, note: str) -> dict[str, Any]:
    """Write a run's weights into the package, kernels in half precision, and describe them in the manifest.

    Returns: The manifest's row. Its accuracy is that of the stored file, read back.
    """
    config = run.config
    name, data, classes = config["model"], config["data"]["name"], config["data"]["classes"]
    _, backbone = rows_of(name)
    options = dict(config["options"])
    mean, std = (list(options.pop(key, getattr(backbone, key))) for key in ("mean", "std"))
    about = {"model": name, "options": {**options, "classes": classes, "mean": mean, "std": std}}
    file = f"trained/{name}-{data}.weights.h5"
    path = save_weights(run.model, checkout.zoo_file(f"weights/{file}"), half=True, about=about)
    shape = list(config["data"]["image_shape"])
    again = evaluate(builder(name)(weights=path, input_shape=tuple(shape)), config["data"]["spec"])
    row = {
        "model": name,
        "tag": f"{data}.kattn",
        "default": True,
        "file": file,
        "hash": f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}",
        "classes": classes,
        "input_shape": shape,
        "mean": mean,
        "std": std,
        "license": LICENSE,
        "metric": f"{percent(again.accuracy):.2f} % top-1",  # type: ignore[union-attr]
        "metric_source": f"kattn, {again.images:,} test images of {data}",
        "verified": "logits",
        "recipe": config["recipe"]["name"],
        "seed": config["seed"],
        "command": command(config),
        "note": "; ".join(filter(None, (note, versions_of(config)))),
    }
    if options:
        row["options"] = options
    others = [one for one in stored() if (one["model"], one["tag"]) != (name, row["tag"])]
    write_text(checkout.zoo_file(f"weights/{manifest.TRAINED}"), described([*others, row]))
    return row


def stored() -> list[dict[str, Any]]:
    """The rows of the manifest; none where there is no manifest."""
    path = checkout.zoo_file(f"weights/{manifest.TRAINED}")
    return tomllib.loads(path.read_text(encoding="utf-8")).get("weights", []) if path.is_file() else []


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
