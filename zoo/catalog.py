"""What can be said of the models without building them: `list_models`, `info`, and the table they read.

`models.csv` is generated: `python -m kattn.zoo.catalog` builds every model once and writes it; a test fails when the
table and the code disagree.
"""

from __future__ import annotations

import csv
import difflib
import fnmatch
import functools
import re
from dataclasses import dataclass
from importlib import resources
from typing import Any

TABLE = "models.csv"


@dataclass(frozen=True)
class ModelInfo:
    """One model of the zoo.

    Attributes:
        name: What `create` takes.
        attention: Short name of the mechanism; empty for a plain network.
        backbone: Name of the plain twin.
        parameters: Trainable parameters with the default arguments.
        macs: Multiply-adds of convolutions and dense layers for one image of the default size.
        matmul_macs: Multiply-adds of matrix products inside the attention.
        input_shape: Default (height, width, channels).
        classes: Default number of classes.
        papers: Of the backbone and of the attention.
        weights: Published weights: tag to what is known of them.
    """

    name: str
    attention: str
    backbone: str
    parameters: int
    macs: int
    matmul_macs: int
    input_shape: tuple[int, int, int]
    classes: int
    papers: tuple[str, ...]
    weights: dict[str, dict[str, Any]]

    def __str__(self) -> str:
        rows = {
            "attention": self.attention or "none",
            "backbone": self.backbone,
            "parameters": f"{self.parameters:,}",
            "MACs": f"{self.macs:,}" + (f" (and {self.matmul_macs:,} in matrix products)" if self.matmul_macs else ""),
            "input": "x".join(map(str, self.input_shape)),
            "classes": str(self.classes),
            "weights": ", ".join(self.weights) or "none published",
        }
        lines = [self.name, *(f"  {key:<11}{value}" for key, value in rows.items())]
        return "\n".join([*lines, *(f"  {'paper':<11}{paper}" for paper in self.papers)])


@functools.cache
def _table() -> dict[str, ModelInfo]:
    table: dict[str, ModelInfo] = {}
    with resources.files("kattn.zoo").joinpath(TABLE).open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            height, width, channels = (int(size) for size in row["input_shape"].split("x"))
            table[row["name"]] = ModelInfo(
                name=row["name"],
                attention=row["attention"],
                backbone=row["backbone"],
                parameters=int(row["parameters"]),
                macs=int(row["macs"]),
                matmul_macs=int(row["matmul_macs"]),
                input_shape=(height, width, channels),
                classes=int(row["classes"]),
                papers=tuple(row["papers"].split(" | ")),
                weights={},
            )
    return table


def natural(name: str) -> list[Any]:
    """Sort key that puts resnet20 before resnet110."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def list_models(pattern: str = "*", *, weights: bool = False) -> list[str]:
    """Names of the models, in natural order.

    Args:
        pattern: As of file names: "se_*", "*mobilenet*".
        weights: Only models with published weights.
    """
    found = (one for one in _table().values() if fnmatch.fnmatchcase(one.name, pattern))
    return sorted((one.name for one in found if one.weights or not weights), key=natural)


def info(name: str) -> ModelInfo:
    """What is known of a model. Raises ValueError for an unknown name, with the closest ones."""
    if name not in _table():
        raise unknown_model(name)
    return _table()[name]


def unknown_model(name: str) -> ValueError:
    """The error for a name that is no model's."""
    close = difflib.get_close_matches(str(name), _table(), n=4, cutoff=0.5)
    hint = f" Closest: {', '.join(close)}." if close else ""
    return ValueError(f"Unknown model {name!r}.{hint} All names: kattn.zoo.list_models().")


def generate() -> list[dict[str, Any]]:
    """Rows of the table, by building every model once."""
    import keras

    from kattn.profiling import profile
    from kattn.zoo.tables import builder, pairs, rows

    table = []
    for name, attention_name, backbone_name in sorted(pairs(), key=lambda pair: natural(pair[0])):
        attention, backbone = rows(name)
        keras.utils.clear_session(free_memory=False)
        cost = profile(builder(name)())
        table.append(
            {
                "name": name,
                "attention": "" if attention_name == "none" else attention_name,
                "backbone": backbone_name,
                "parameters": cost.parameters,
                "macs": cost.macs,
                "matmul_macs": cost.matmul_macs,
                "input_shape": "x".join(map(str, backbone.input_shape)),
                "classes": backbone.classes,
                "papers": " | ".join(filter(None, (backbone.paper, attention.paper))),
            }
        )
    return table


def main() -> None:
    """Write the table anew."""
    rows = generate()
    path = resources.files("kattn.zoo").joinpath(TABLE)
    with open(str(path), "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"{len(rows)} models")


if __name__ == "__main__":
    main()
