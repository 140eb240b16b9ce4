"""The table of models, `zoo/models.csv`, by building each of them."""

from __future__ import annotations

import csv
from typing import Any

from kattn.files import write_csv, write_text
from kattn.publish import checkout
from kattn.publish.counting import counted
from kattn.publish.models_page import page
from kattn.publish.stubs import stub_text
from kattn.zoo import catalog
from kattn.zoo.catalog import TABLE, described, natural
from kattn.zoo.tables import builder, pairs

WRITTEN_EVERY = 50  # models: a run that is stopped goes on from there


def write_catalog(*, anew: bool = False) -> None:
    """Write the table, the page `MODELS.md` and the type stub `__init__.pyi`.

    Args:
        anew: Build every model. By default only models that the table lacks are built; rows of models that are gone
            are dropped in both cases.

    Raises: CheckoutError outside a checkout.
    """
    checkout.root()  # before anything is built
    print(f"{len(generate({} if anew else known_rows()))} models in {TABLE}")
    catalog.forget()
    for name, text in (("__init__.pyi", stub_text()), ("MODELS.md", page())):
        write_text(checkout.zoo_file(name), text)
        print(name)


def known_rows() -> dict[str, dict[str, Any]]:
    """The rows of the table by name; empty where there is no table."""
    path = checkout.zoo_file(TABLE)
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def generate(known: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """All rows, in natural order, written as they come; those known are kept."""
    names = sorted(pairs(), key=lambda pair: natural(pair[0]))
    table = []
    for number, (name, *_) in enumerate(names, start=1):
        if name not in known:
            print(f"{number}/{len(names)} {name}", flush=True)
        table.append(known.get(name) or row_of(name))
        if number % WRITTEN_EVERY == 0 or number == len(names):
            write_csv(checkout.zoo_file(TABLE), table + [known[n] for n, *_ in names[number:] if n in known])
    return table


def row_of(name: str) -> dict[str, Any]:
    """One row, by building the model."""
    row = vars(described(name, counted(builder(name)))).copy()
    del row["weights"]
    return row | {"input_shape": "x".join(map(str, row["input_shape"])), "papers": " | ".join(row["papers"])}
