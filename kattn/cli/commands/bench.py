"""`kattn bench`: latency of exported files."""

from __future__ import annotations

import argparse
import json

from kattn.cli.arguments import add_trust

HELP = "latency of exported files"
EXAMPLE = "kattn bench model.tflite model.onnx --threads 1"


def add(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument("paths", nargs="+")
    parser.add_argument("--threads", type=int, default=1)
    add_trust(parser)
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(arguments: argparse.Namespace) -> None:
    """Print the latencies, measured in turn."""
    from kattn.export.benchmark import bench

    result = bench(*arguments.paths, threads=arguments.threads, trust=arguments.trust)
    print(json.dumps(result.to_dict(), indent=1) if arguments.json else result)
