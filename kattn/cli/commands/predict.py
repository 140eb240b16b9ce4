"""`kattn predict`: labels and scores of images."""

from __future__ import annotations

import argparse
import json

from kattn.cli.arguments import add_stated, add_trust, add_weights, stated_of
from kattn.files import shown

HELP = "labels and scores of images, by a run, a model or an exported file"
EXAMPLE = "kattn predict runs/afi20 photos/ --top 3\n  kattn predict model.tflite 'photos/*.jpg' --csv predictions.csv"


def add(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument(
        "path",
        help="a run's folder, a .keras, .tflite or .onnx file, a SavedModel folder, or a model of the zoo (--weights)",
    )
    parser.add_argument("images", nargs="+", help="image files, folders of them, and patterns such as 'photos/*.jpg'")
    add_weights(parser)
    add_trust(parser)
    parser.add_argument("--top", type=int, default=5, help="labels an image (default: 5)")
    parser.add_argument("--output", help="name or number of the output (default: predictions, else the first)")
    parser.add_argument("--image-size", type=int, help="height and width, for a model that leaves them open")
    parser.add_argument("--batch-size", type=int, default=32, help="images at a time (default: 32)")
    parser.add_argument(
        "--on-error", choices=("skip", "raise"), default="skip", help="of unreadable files (default: skip, counted)"
    )
    add_stated(parser)
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument("--csv", metavar="FILE", help="write a table: image, rank, label, score")


def run(arguments: argparse.Namespace) -> None:
    """Print or write the predictions."""
    from kattn.evaluation.predicting import predict

    output = arguments.output
    found = predict(
        arguments.path,
        arguments.images,
        top=arguments.top,
        output=int(output) if (output or "").isdigit() else output,
        weights=arguments.weights,
        image_size=arguments.image_size,
        batch_size=arguments.batch_size,
        on_error=arguments.on_error,
        trust=arguments.trust,
        **stated_of(arguments),
    )
    if arguments.csv:
        found.write(arguments.csv)
        print(shown(f"{len(found)} images, in {arguments.csv}"))
    elif arguments.json:
        print(json.dumps(found.to_dicts(), indent=1))
    else:
        print("\n".join(shown(str(one)) for one in found))
