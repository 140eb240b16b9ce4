"""`python -m kattn.publish`: tables, pages, type stubs and packaged weights of a checkout."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from kattn.publish import checkout
from kattn.startup import import_keras


def main(argv: Sequence[str] | None = None) -> int:
    """Run one program; returns the exit status."""
    arguments = build_parser().parse_args(argv)
    try:
        checkout.root()
        import_keras()
        arguments.run(arguments)
    except (checkout.CheckoutError, ValueError, OSError, RuntimeError) as problem:
        print(f"kattn.publish: error: {problem}", file=sys.stderr)
        return 1
    return 0


def build_parser() -> argparse.ArgumentParser:
    """All programs and their options."""
    parser = argparse.ArgumentParser(prog="python -m kattn.publish", description=__doc__)
    programs = parser.add_subparsers(dest="program", metavar="PROGRAM", required=True)

    def program(run: Callable[[argparse.Namespace], None], text: str, more: str = "") -> argparse.ArgumentParser:
        one = programs.add_parser(run.__name__, help=text, description=f"{text}. {more}")
        one.set_defaults(run=run)
        return one

    one = program(
        catalog,
        "write zoo/models.csv, zoo/MODELS.md and the type stub",
        "KERAS_BACKEND=torch allocates no weights, which is several times faster.",
    )
    one.add_argument("--all", action="store_true", help="build every model, not only those that the table lacks")

    one = program(
        runs,
        "add finished runs to the table of results, and their weights to the package",
        "Each run is exported to TFLite (int8) and ONNX, and everything is evaluated on the run's test images. A row "
        "of the same run is replaced. Only runs that one command repeats are taken: of a committed recipe, on whole "
        "data, with nothing but the epochs changed. `catalog` and `results` then bring the pages up to date.",
    )
    one.add_argument("runs", nargs="+", metavar="RUN", help="folders of finished runs")
    one.add_argument(
        "--weights",
        action="store_true",
        help='store their weights in the package too, in half precision, as weights="<data>" of their model',
    )
    one.add_argument("--machine", required=True, help='where they were trained: "one core of ..., no GPU"')
    one.add_argument("--note", default="", help="what else to know of the data")

    one = program(results, "write the page of results and its pictures")
    one.add_argument("folder", nargs="?", help="folder in the checkout (default: docs)")

    one = program(blocks, "write the page of all blocks from their docstrings")
    one.add_argument("file", nargs="?", help="file in the checkout (default: docs/blocks.md)")
    return parser


def catalog(arguments: argparse.Namespace) -> None:
    """Count the models; write their table, page and type stub."""
    from kattn.publish.catalog import write_catalog

    write_catalog(anew=arguments.all)


def runs(arguments: argparse.Namespace) -> None:
    """Add runs to the table of results."""
    from kattn.publish.runs import publish

    publish(arguments.runs, weights=arguments.weights, machine=arguments.machine, note=arguments.note)


def results(arguments: argparse.Namespace) -> None:
    """Write the page of results."""
    from kattn.publish.results_page import write_results

    write_results(checkout.inside(arguments.folder or checkout.root() / "docs"))


def blocks(arguments: argparse.Namespace) -> None:
    """Write the page of blocks."""
    from kattn.publish.blocks_page import write_blocks

    write_blocks(checkout.inside(arguments.file or checkout.root() / "docs" / "blocks.md"))


if __name__ == "__main__":
    sys.exit(main())
