"""`kattn info`: one model."""

from __future__ import annotations

import argparse

HELP = "describe a model: size, cost, papers, weights"
EXAMPLE = "kattn info afi_resnet50"
KERAS = False


def add(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument("name")


def run(arguments: argparse.Namespace) -> None:
    """Print what is known of a model."""
    from kattn.zoo.catalog import info

    print(info(arguments.name))
