"""`kattn quickstart`: from images to files for a phone and a server."""

from __future__ import annotations

import argparse

HELP = "train, export and check an attention network on real images"
EXAMPLE = "kattn quickstart"


def add(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument(
        "--model", default="afi_resnet20", help="a CIFAR-style model of the zoo (default: afi_resnet20)"
    )
    parser.add_argument("--out", default="runs/quickstart", help="folder for everything (default: runs/quickstart)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, help="instead of the recipe's, for a trial")


def run(arguments: argparse.Namespace) -> None:
    """Train, export, check, draw."""
    from kattn.cli import quickstart

    quickstart.run(model=arguments.model, out=arguments.out, seed=arguments.seed, epochs=arguments.epochs)
