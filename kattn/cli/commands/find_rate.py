"""`kattn find-rate`: the loss against the learning rate."""

from __future__ import annotations

import argparse

from kattn.cli.arguments import add_data, add_set, add_stated, data_of, options_of, stated_of

HELP = "draw the training loss against the learning rate, and suggest one"
EXAMPLE = "kattn find-rate se_resnet20 --data photos --image-size 96 --recipe small_data"


def add(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument("name", help="a model of the zoo")
    add_data(parser, default="digits")
    parser.add_argument("--recipe", default="auto", help="whose optimizer and batches are used (default: auto)")
    parser.add_argument("--low", type=float, default=1e-5, help="first rate (default: 1e-5)")
    parser.add_argument("--high", type=float, default=10.0, help="last rate (default: 10)")
    parser.add_argument("--steps", type=int, default=100, help="default: 100")
    parser.add_argument("--out", default="runs/find-rate", help="folder of rates.csv and rates.png")
    parser.add_argument("--seed", type=int, default=0)
    add_set(parser)
    add_stated(parser, leave_out=("value_range",))  # networks of the zoo take raw pixels


def run(arguments: argparse.Namespace) -> None:
    """Test, print, draw."""
    from kattn.training.rates import find_rate

    names = ("recipe", "low", "high", "steps", "out", "seed")
    find_rate(
        arguments.name,
        options=options_of(arguments.set),
        **{name: getattr(arguments, name) for name in names},
        **data_of(arguments),
        **stated_of(arguments),
    )
