"""`kattn export`: files of every format and precision, each with its proof."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kattn.cli.arguments import add_data_dir, add_set, add_weights, options_of, stated_options

if TYPE_CHECKING:
    from kattn.export.formats import Format
    from kattn.runs.opening import Opened

HELP = "export a run or a model, with a proof"
EXAMPLE = (
    "kattn export runs/afi20 --to tflite --precision int8\n"
    "  kattn export cbam_resnet20 --weights cifar10 --to tflite onnx --precision int8 --calibration cifar10"
)
Read = Callable[[str, str | Path | None], Any]  # of a data set and where TFDS keeps its data; gives images
CANDIDATES = 1000  # about so many images of a large data set are offered for calibration


def _batch(text: str) -> int | None:
    return None if text == "any" else int(text)


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _kinds(text: str) -> str | dict[str, str]:
    pairs = [part.partition("=") for part in text.split(",")]
    return {name: kind for name, _, kind in pairs} if "=" in text else text


# What argparse needs to know of the exporters' options. One that is not given is the exporter's own default.
# tests/cli/commands/test_export.py compares names and defaults with the exporters.
YES_OR_NO = argparse.BooleanOptionalAction
OPTIONS: dict[str, dict[str, Any]] = {
    "batch": dict(type=_batch, metavar="NUMBER", help='fixed batch size, or "any" (default: 1 in TFLite, else any)'),
    "outputs": dict(nargs="+", metavar="NAME", help="outputs to keep, or all (default: predictions where there are)"),
    "input_shape": dict(type=_sizes, metavar="H,W,C", help="for a model that leaves its image size open"),
    "io_type": dict(
        metavar="TYPE",
        help="TFLite, of inputs and outputs: int8, uint8 or float32 at int8; int16 or float32 at int16 "
        "(default: the precision's own)",
    ),
    "layout": dict(help="ONNX, of images and maps: nhwc or nchw (default: nhwc)"),
    "opset": dict(type=int, metavar="NUMBER", help="ONNX: 13 to 20 (default: 17)"),
    "signatures": dict(nargs="+", metavar="NAME", help="SavedModel: float32, uint8, jpeg (default: float32)"),
    "calibration_images": dict(
        type=int, metavar="NUMBER", help="how many to take, at most (default: 256 in TFLite, 128 in ONNX)"
    ),
    "calibration_method": dict(
        metavar="METHOD", help="ranges of activations: percentile, minmax, in ONNX entropy too (default: percentile)"
    ),
    "float_layers": dict(nargs="+", metavar="LAYER", help='names or patterns ("*_gate") to leave in float32 at int8'),
    "images": dict(help="to compare on: a folder, a TFDS name or digits (default: the calibration's, else random)"),
    "kinds": dict(
        type=_kinds,
        metavar="KIND",
        help="what the outputs are, where the model does not say it: classes, binary, attributes, values, map, "
        "embedding or integers, or OUTPUT=KIND,OUTPUT=KIND",
    ),
    "tolerance": dict(type=float, help="largest difference from the model that is allowed (default: the precision's)"),
    "min_agreement": dict(
        type=float, metavar="SHARE", help="least share of images with the model's class (default: the precision's)"
    ),
    "max_error": dict(
        type=float,
        metavar="SHARE",
        help="largest error, over how much the output differs from image to image (default: the precision's)",
    ),
    "strict": dict(action=YES_OR_NO, help="refuse a graph that would not run everywhere, or warn (default: --strict)"),
    "allow": dict(nargs="+", metavar="OPERATOR", help="operators to accept all the same"),
    "overwrite": dict(action=YES_OR_NO, help="replace what has a file's name, or refuse (default: --overwrite)"),
    **stated_options(),
}


def add(parser: argparse.ArgumentParser) -> None:
    """The options."""
    from kattn.export.formats import FORMATS

    parser.add_argument("path", help="a run's folder, a .keras file, or a model of the zoo")
    add_weights(parser)
    names = [row.name for row in FORMATS.values() if row.exporter_path]
    parser.add_argument("--to", nargs="+", default=["tflite"], choices=names, help="formats (default: tflite)")
    each = "; ".join(f"{FORMATS[name].title}: {', '.join(FORMATS[name].precisions)}" for name in names)
    parser.add_argument(
        "--precision",
        nargs="+",
        choices=list(dict.fromkeys(precision for name in names for precision in FORMATS[name].precisions)),
        help=f"several give several files (default: float32). {each}",
    )
    parser.add_argument(
        "--calibration", help="images for int8 and int16: a folder, a TFDS name or digits (default: the run's own data)"
    )
    add_data_dir(parser)
    parser.add_argument("--out", help="folder for the files (default: the run's folder, else the current one)")
    group = parser.add_argument_group("options of the formats", "each goes to those of the formats that have it")
    for name, settings in OPTIONS.items():
        group.add_argument(f"--{name.replace('_', '-')}", default=argparse.SUPPRESS, **settings)
    add_set(parser, "any other option of a format; repeatable")


def run(arguments: argparse.Namespace) -> None:
    """Export in every format and precision asked for."""
    from kattn.export.formats import FORMATS
    from kattn.files import make_folder
    from kattn.runs.opening import RUN, open_model

    jobs = _jobs([FORMATS[name] for name in arguments.to], arguments.precision)
    given = {name: value for name, value in vars(arguments).items() if name in OPTIONS} | options_of(arguments.set)
    for name in given:
        if not any(name in row.options for row, _ in jobs):
            raise ValueError(f"No option {name}= in {' or '.join(dict.fromkeys(row.title for row, _ in jobs))}.")
    if given.get("outputs") == ["all"]:
        given["outputs"] = "all"
    opened = open_model(arguments.path, weights=arguments.weights)
    said = {name: value for name, value in given.items() if name in stated_options()}
    shape = given.get("input_shape") or tuple(opened.model.inputs[0].shape[1:])
    read = functools.partial(_train_images, opened.model, said, shape)
    calibrated = [precision for row, precision in jobs if row.precisions[precision].calibrated]
    calibration = _calibration(arguments, opened, read, calibrated[0]) if calibrated else None
    if "images" in given:
        given["images"] = _images(given["images"], read, arguments.data_dir)
    out = Path(arguments.out or (arguments.path if opened.kind == RUN else ""))
    make_folder(out)
    for row, precision in jobs:
        options = {name: value for name, value in given.items() if name in row.options}
        path = out / row.file_name(opened.model.name, precision)
        print(row.export(opened.model, path, precision=precision, calibration=calibration, **options), flush=True)


def _jobs(rows: Sequence[Format], precisions: Sequence[str] | None) -> list[tuple[Format, str]]:
    """Formats with their precisions. What a format does not have is said, never replaced by another precision."""
    jobs = []
    for row in rows:
        asked = precisions or list(row.precisions)[:1]
        lacking = [precision for precision in asked if precision not in row.precisions]
        if len(lacking) == len(asked):
            row.check_precision(lacking[0])
        for precision in lacking:
            print(f"{row.title} has no precision {precision}: not written.", flush=True)
        jobs += [(row, precision) for precision in asked if precision in row.precisions]
    return jobs


def _calibration(arguments: argparse.Namespace, opened: Opened, read: Read, precision: str) -> Any:
    """The images that --calibration names, or those that the run was trained on."""
    if arguments.calibration:
        return _images(arguments.calibration, read, arguments.data_dir)
    from kattn.data.loading import local_data_dir

    own = opened.config["data"] if opened.config else None
    if own is None or not own.get("spec"):
        raise ValueError(f"{precision} needs --calibration: a folder of images, a TFDS name or digits.")
    places = (arguments.data_dir,) if arguments.data_dir else (own.get("settings", {}).get("data_dir"), None)
    data_dir = local_data_dir(own["spec"], *places, who=arguments.path, option="calibration")
    return read(own["spec"], data_dir)


def _images(spec: str, read: Read, data_dir: str | Path | None) -> Any:
    """Images for an exporter: a folder as it is, with or without classes, or those of a data set."""
    return Path(spec) if Path(spec).is_dir() else read(spec, data_dir)


def _train_images(
    model: Any, stated: Mapping[str, Any], shape: Sequence[int | None], spec: str, data_dir: str | Path | None
) -> Any:
    """The training images of a data set, of the model's size and in its range, as float32."""
    from kattn.data.loading import load
    from kattn.data.stored import StoredImages
    from kattn.facts.of_model import image_of
    from kattn.facts.pixels import to_input
    from kattn.facts.stated import Stated

    if len(shape) != 3:
        raise ValueError(f"{spec} gives images, but the model's input has the shape {tuple(shape)}.")
    height, width, channels = shape
    size = (height, width) if height and width else None
    given = image_of(model, Stated(**stated))
    ways = {"resize": given.resize.value, "interpolation": given.interpolation.value}
    train = load(spec, image_size=size, channels=channels, splits=("train",), data_dir=data_dir, **ways).train
    if isinstance(train.images, StoredImages):
        train = train.take(slice(None, None, max(1, len(train) // CANDIDATES)))
    return to_input(train.images[:], given, model.name).astype("float32")
