"""`kattn explain`: what a model looks at, or the report of a run."""

from __future__ import annotations

import argparse
from pathlib import Path

from kattn.cli.arguments import add_stated, add_weights, stated_of
from kattn.files import shown

HELP = "draw what a model looks at, or write the report of a run"
EXAMPLE = (
    "kattn explain runs/abn20 photos/ --method grad_cam attention\n"
    "  kattn explain cbam_resnet20 photos/ --weights cifar10\n"
    "  kattn explain runs/abn20 --report"
)

METHODS = ("cam", "grad_cam", "grad_cam_plus_plus", "attention")  # of kattn.explain.reports.methods, without Keras


def add(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument("model", help="a run's folder, a .keras file, or a model of the zoo")
    parser.add_argument(
        "images", nargs="*", help="image files and folders of them; unreadable ones are left out, counted"
    )
    add_weights(parser)
    parser.add_argument("--beside", nargs="+", default=[], metavar="MODEL", help="further models, side by side")
    parser.add_argument(
        "--method",
        nargs="+",
        default=["grad_cam"],
        choices=METHODS,
        help="default: grad_cam",
    )
    parser.add_argument(
        "--class", dest="classes", type=int, metavar="NUMBER", help="default: each image's predicted one"
    )
    parser.add_argument(
        "--layer", help="the layer looked at (default: the method's choice; for attention the last on each size of map)"
    )
    parser.add_argument("--all", action="store_true", help="with --method attention: every layer of attention")
    parser.add_argument(
        "--query", nargs=2, type=float, metavar=("ROW", "COLUMN"), help="pixel whose affinities attention shows"
    )
    parser.add_argument(
        "--position", nargs=2, type=int, metavar=("ROW", "COLUMN"), help="of a map of classes: the pixel explained"
    )
    parser.add_argument("--image-size", type=int, help="height and width, for a model that leaves them open")
    parser.add_argument("--format", default="png", choices=("png", "svg"), help="of the contact sheets (default: png)")
    parser.add_argument("--out", help="folder for the pictures (default: explained), or file of the report")
    parser.add_argument("--report", action="store_true", help="one HTML page of a finished run; takes no images")
    add_stated(parser)
    parser.add_argument("--data-dir", help="with --report: where tensorflow-datasets keeps its data")


def run(arguments: argparse.Namespace) -> None:
    """Draw maps of image files, or write a run's report."""
    if arguments.report:
        from kattn.explain.reports.run import report

        if arguments.images:
            raise ValueError("--report shows the run's own test images; leave the images out.")
        if arguments.beside:
            raise ValueError("--report is of one run; leave --beside out.")
        print(shown(str(report(arguments.model, arguments.out, data_dir=arguments.data_dir))))
        return
    if not arguments.images:
        raise ValueError("name image files or folders to explain, or pass --report for a run.")
    from kattn.explain.reports.map_files import draw_maps
    from kattn.runs.opening import open_model

    opened = {name: open_model(name, weights=arguments.weights) for name in (arguments.model, *arguments.beside)}
    written = draw_maps(
        {Path(name).stem: one.model for name, one in opened.items()},
        arguments.images,
        arguments.out or "explained",
        methods=arguments.method,
        classes=arguments.classes,
        layer=arguments.layer,
        every_layer=arguments.all,
        query=tuple(arguments.query) if arguments.query else None,
        position=tuple(arguments.position) if arguments.position else None,
        size=(arguments.image_size, arguments.image_size) if arguments.image_size else None,
        form=arguments.format,
        class_names=opened[arguments.model].class_names,
        **stated_of(arguments),
    )
    sheets = [path for path in written if path.stem.startswith("sheet")]
    print("\n".join(shown(str(path)) for path in sheets))
    print(shown(f"{len(written) - len(sheets)} overlays at full size, one an image and map, in {sheets[0].parent}"))
