"""`python -m kattn.publish catalog [--all]`: write `models.csv`, `MODELS.md` and the type stub `__init__.pyi`.

Only models that the table does not have are built, and rows of models that are gone are dropped; `--all` counts every
model anew. With KERAS_BACKEND=torch no weight is allocated, which is several times faster.
"""

from __future__ import annotations

import contextlib
import csv
import os
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import keras

from kattn.profiling import profile
from kattn.publish.models_page import page
from kattn.publish.stubs import stub_text
from kattn.zoo import catalog
from kattn.zoo.catalog import TABLE, natural
from kattn.zoo.tables import builder, pairs, rows


def table_path() -> Path:
    """Where the table lies."""
    return Path(str(resources.files("kattn.zoo").joinpath(TABLE)))


def row_of(name: str, attention_name: str, backbone_name: str) -> dict[str, Any]:
    """One row, by building the model."""
    attention, backbone = rows(name)
    keras.utils.clear_session(free_memory=False)
    # Only shapes matter here; torch can build without making the values.
    shapes_only = keras.backend.backend() == "torch"
    with keras.device("meta") if shapes_only else contextlib.nullcontext():
        cost = profile(builder(name)())
    return {
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


def generate(known: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """All rows, in natural order; those known are kept."""
    names = sorted(pairs(), key=lambda pair: natural(pair[0]))
    table = []
    for number, (name, attention, backbone) in enumerate(names, start=1):
        if name not in known:
            print(f"{number}/{len(names)} {name}", flush=True)
        table.append(known.get(name) or row_of(name, attention, backbone))
        if number % 50 == 0 or number == len(names):
            write(table + [known[n] for n, *_ in names[number:] if n in known])
    return table


def write(table: list[dict[str, Any]]) -> None:
    """Write the table beside itself, then replace it."""
    path = table_path()
    beside = path.with_suffix(".partial")
    with beside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(table[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
    os.replace(beside, path)


def main(arguments: list[str]) -> None:
    """Write the table."""
    known: dict[str, dict[str, Any]] = {}
    if "--all" not in arguments and table_path().exists():
        with table_path().open(encoding="utf-8", newline="") as file:
            known = {row["name"]: row for row in csv.DictReader(file)}
    print(f"{len(generate(known))} models in {TABLE}")
    catalog.forget()
    for name, text in (("__init__.pyi", stub_text()), ("MODELS.md", page())):
        table_path().with_name(name).write_text(text, encoding="utf-8")
        print(name)


if __name__ == "__main__":
    main(sys.argv[1:])
