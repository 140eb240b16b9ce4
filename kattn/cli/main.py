"""The command line: `kattn list | info | describe | train | evaluate | predict | export | ...`; see `kattn --help`.

Listing and describing answer without importing Keras; each command imports what it needs when it runs.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from kattn.cli import commands
from kattn.cli.arguments import joined
from kattn.cli.messages import in_flags
from kattn.files import shown
from kattn.startup import import_file, import_keras
from kattn.version import __version__

ORDER = (
    "list",
    "info",
    "describe",
    "train",
    "evaluate",
    "predict",
    "export",
    "convert",
    "bench",
    "compare",
    "tune",
    "find-rate",
    "explain",
    "quickstart",
)
EXAMPLES = """\
examples:
  kattn quickstart                                    train, export and check an attention network on real images
  kattn list "afi_*"                                  models of the zoo by name
  kattn info afi_resnet50                             size, cost, papers and weights of one
  kattn train cbam_resnet20 --data cifar10 --out runs/cbam20
  kattn evaluate runs/cbam20                          accuracy of a run, or of a .keras, .tflite, .onnx or SavedModel
  kattn export runs/cbam20 --to tflite onnx --precision int8
  kattn bench runs/cbam20/cbam_resnet20_int8.tflite   latency
  kattn tune se_resnet20 --space reduction=2,4,8,16 --budget parameters=280000
  kattn compare resnet20 se_resnet20 --seeds 3        same training, several seeds: differences and their intervals
  kattn convert resnet20.th --model resnet20 --out resnet20.weights.h5
  kattn explain runs/cbam20 photos/ --method grad_cam attention
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status. An error is one line on stderr (a traceback with --debug)."""
    words = joined(sys.argv[1:] if argv is None else list(argv))
    parser = build_parser(next((word for word in words if not word.startswith("-")), ""))
    arguments = parser.parse_args(words)
    if arguments.command is None:
        parser.print_help()
        return 2
    try:
        if arguments.needs_keras or arguments.imports:
            import_keras()
        for file in arguments.imports or ():
            import_file(file)
        return int(arguments.run(arguments) or 0)
    except KeyboardInterrupt:
        print("\nkattn: stopped. A training run goes on with the same command and --resume.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader (head, less) has gone
        sys.stderr.close()
        return 0
    except Exception as problem:
        if arguments.debug:
            raise
        expected = isinstance(problem, ValueError | TypeError | OSError | RuntimeError)
        kind = "" if expected else f"{type(problem).__name__}: "
        message = in_flags(str(problem), arguments.parser)
        print(f"kattn: error: {kind}{shown(message)}", file=sys.stderr, flush=True)
        if type(problem).__name__ == "ProcessLost":  # leaving in order would wait for the process that is gone
            os._exit(1)
        return 1


def build_parser(only: str | None = None) -> argparse.ArgumentParser:
    """The parser of all commands, with the options of all or, which takes less time, of one of them only."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="kattn",
        description="Attention for convolutional networks: models, training, export.",
        epilog=EXAMPLES,
        formatter_class=formatter,
    )
    parser.add_argument("--version", action="version", version=f"kattn {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name in names():
        command = importlib.import_module(f"{commands.__name__}.{name.replace('-', '_')}")
        sub = subparsers.add_parser(
            name,
            help=command.HELP,
            description=command.HELP,
            epilog=f"example:\n  {command.EXAMPLE}",
            formatter_class=formatter,
        )
        sub.set_defaults(run=command.run, needs_keras=getattr(command, "KERAS", True), parser=sub)
        # Also behind the command; absent there, it must not undo the one in front.
        sub.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        sub.add_argument(
            "--import",
            dest="imports",
            action="append",
            metavar="FILE",
            help="run a Python file first, such as one that registers layers or attention of your own; repeatable",
        )
        if only in (None, name):
            command.add(sub)
    return parser


def names() -> list[str]:
    """The commands: those of ORDER, then all others that have a file."""
    files = [Path(file) for folder in commands.__path__ for file in os.listdir(folder)]
    found = sorted(file.stem.replace("_", "-") for file in files if file.suffix == ".py" and file.stem != "__init__")
    return sorted(found, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))
