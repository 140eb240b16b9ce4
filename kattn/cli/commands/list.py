"""`kattn list`: names of models."""

from __future__ import annotations

import argparse

HELP = "list the models of the zoo"
EXAMPLE = 'kattn list "se_*resnet*"'
KERAS = False


def add(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument("pattern", nargs="?", default="*", help='as of file names: "se_*" (default: all)')
    parser.add_argument("--weights", action="store_true", help="only models with published weights")
    parser.add_argument("--published", action="store_true", help="only pairs for which a paper prints an accuracy")


def run(arguments: argparse.Namespace) -> None:
    """Print the names that match."""
    from kattn.zoo.catalog import list_models

    names = list_models(arguments.pattern, weights=arguments.weights, published=arguments.published)
    if not names:
        kind = "model with weights" if arguments.weights else "model"
        raise ValueError(f"no {kind} matches {arguments.pattern!r}; `kattn list` shows all.")
    print("\n".join(names))
