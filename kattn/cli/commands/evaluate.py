"""`kattn evaluate`: accuracy of anything that gives predictions."""

from __future__ import annotations

import argparse
import json

from kattn.cli.arguments import add_data, add_reading, add_stated, add_trust, add_weights, data_of, stated_of
from kattn.files import shown

HELP = "accuracy (or what goes with the kind of output) of a run, a model or an exported file"
EXAMPLE = "kattn evaluate runs/afi20\n  kattn evaluate cbam_resnet20 --weights cifar10 --data cifar10"


def add(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument(
        "path",
        help="a run's folder, a .keras, .tflite or .onnx file, a SavedModel folder, or a model of the zoo (--weights)",
    )
    add_weights(parser)
    add_data(parser, default=None)
    parser.add_argument("--split", default="test", choices=("test", "validation", "train"))
    parser.add_argument("--split-seed", type=int, help="seed of the splits (default: the run's, else 0)")
    parser.add_argument(
        "--split-by",
        choices=("name", "position"),
        help="of a folder without parts: by file names, or as a kattn before (default: the run's, else name)",
    )
    parser.add_argument("--validation", type=float, help="share kept for validation (default: the run's, else 0.1)")
    add_reading(parser)
    add_trust(parser)
    add_stated(parser)
    parser.add_argument("--output", help="name of the output to evaluate (default: predictions, else the first)")
    parser.add_argument(
        "--kind",
        choices=("classes", "binary", "attributes", "values", "map", "integers"),
        help="what the output is, where nothing says it",
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(arguments: argparse.Namespace) -> None:
    """Print the evaluation."""
    from kattn.evaluation.evaluation import evaluate

    result = evaluate(
        arguments.path,
        weights=arguments.weights,
        split=arguments.split,
        output=int(arguments.output) if (arguments.output or "").isdigit() else arguments.output,
        kind=arguments.kind,
        split_seed=arguments.split_seed,
        split_by=arguments.split_by,
        validation=arguments.validation,
        on_error=arguments.on_error,
        cache=arguments.cache,
        trust=arguments.trust,
        **data_of(arguments),
        **stated_of(arguments),
    )
    print(json.dumps(result.to_dict(), indent=1) if arguments.json else shown(str(result)))
