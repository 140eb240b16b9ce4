"""`kattn tune`: search within a budget."""

from __future__ import annotations

import argparse
from typing import Any

from kattn.cli.arguments import add_data, data_of, literal

HELP = "search for the best reduction, mechanism, place or recipe, within a budget"
EXAMPLE = (
    "kattn tune se_resnet20 --space reduction=2,4,8,16 --budget parameters=280000 --workers 2 --out runs/search\n"
    "  kattn tune se_resnet20 --space mechanism=se,eca,none stages=[2,3],[3] --objective accuracy int8_bytes\n"
    "  kattn tune se_resnet20 --space recipe.learning_rate=0.01..0.3:log --strategy bayesian --max-trials 20"
)


def add(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument("name", help="a model of the zoo")
    add_data(parser, default="digits")
    parser.add_argument(
        "--space",
        nargs="+",
        default=[],
        metavar="NAME=CHOICES",
        help="choices 2,4,8 or 0.01..0.3 or 0.01..0.3:log; names are options of the model, mechanism, backbone and "
        "recipe.<field> (default: reduction=2,4,8,16)",
    )
    parser.add_argument("--strategy", default="grid", help="grid, random, bayesian or hyperband (default: grid)")
    parser.add_argument(
        "--objective",
        nargs="+",
        default=["accuracy"],
        help="accuracy, and costs to weigh it against (default: accuracy)",
    )
    parser.add_argument(
        "--budget",
        nargs="+",
        default=[],
        metavar="COST=MOST",
        help="of parameters, macs, int8_bytes, latency_ms; what is over it is not trained",
    )
    parser.add_argument("--max-trials", type=int, help="default: 10 for random and bayesian")
    parser.add_argument("--prune", action="store_true", help="end trials that are below the median of the others")
    parser.add_argument("--recipe", default="quick", help="name of a recipe or a .toml file (default: quick)")
    parser.add_argument("--epochs", type=int, help="instead of the recipe's")
    parser.add_argument("--out", help="folder of the search (default: runs/tune-<model>-<data>-<seed>)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="processes that train at the same time (default: 1)")
    parser.add_argument("--resume", action="store_true", help="go on with a stopped search")
    parser.add_argument("--overwrite", action="store_true", help="start anew in a folder that holds a search")


def run(arguments: argparse.Namespace) -> None:
    """Search, and write the search's folder."""
    from kattn.tuning.search import tune

    tune(
        arguments.name,
        space=dict(map(_choices, arguments.space)) or None,
        strategy=arguments.strategy,
        objective=arguments.objective,
        budget=dict(map(_most, arguments.budget)),
        recipe=arguments.recipe,
        overrides={} if arguments.epochs is None else {"epochs": arguments.epochs},
        max_trials=arguments.max_trials,
        prune=arguments.prune,
        out=arguments.out,
        seed=arguments.seed,
        workers=arguments.workers,
        imports=arguments.imports or (),
        resume=arguments.resume,
        overwrite=arguments.overwrite,
        **data_of(arguments),
    )


def _choices(setting: str) -> tuple[str, Any]:
    """NAME=CHOICES: values with commas between, or a range."""
    name, equals, text = setting.partition("=")
    if not equals or not name or not text:
        raise ValueError(f"--space takes NAME=CHOICES, such as reduction=2,4,8. Received: {setting!r}")
    ends, _, scale = text.partition(":")
    low, dots, high = ends.partition("..")
    if dots:
        if scale not in ("", "log"):
            raise ValueError(f"A range is 0.01..0.3 or 0.01..0.3:log. Received: {setting!r}")
        return name, {"low": literal(low), "high": literal(high), "log": scale == "log"}
    values = literal(f"[{text}]")
    return name, values if isinstance(values, list) else [literal(part) for part in text.split(",")]


def _most(setting: str) -> tuple[str, float]:
    name, _, text = setting.partition("=")
    try:
        return name, float(text)
    except ValueError:
        raise ValueError(f"--budget takes COST=MOST, such as parameters=280000. Received: {setting!r}") from None
