"""`kattn describe`: what a model takes and gives, and where each fact comes from."""

from __future__ import annotations

import argparse
import json

from kattn.cli.arguments import add_stated, add_weights, stated_of
from kattn.files import shown

HELP = "what a model takes and gives, and how that is known"
EXAMPLE = "kattn describe runs/afi20\n  kattn describe model.tflite --value-range -1,1 --labels labels.txt"


def add(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument(
        "path",
        help="a run's folder, a .keras, .tflite or .onnx file, a SavedModel folder, or a model of the zoo",
    )
    add_weights(parser)
    add_stated(parser)
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(arguments: argparse.Namespace) -> None:
    """Print the description."""
    from kattn.runs.describing import describe

    found = describe(arguments.path, weights=arguments.weights, **stated_of(arguments))
    print(json.dumps(found.to_dict(), indent=1) if arguments.json else shown_lines(str(found)))


def shown_lines(text: str) -> str:
    """Each line as every terminal can hold it."""
    return "\n".join(shown(line) for line in text.splitlines())
