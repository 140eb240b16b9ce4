"""`kattn compare`: the same training for several models and seeds, and what their differences say."""

from __future__ import annotations

import argparse
from typing import Any

from kattn.cli.arguments import add_computing, add_data, add_set, add_stated, data_of, options_of, stated_of

HELP = "train models alike with several seeds, and compare them"
EXAMPLE = (
    "kattn compare resnet20 se_resnet20 cbam_resnet20 --data cifar10 --recipe cifar_short --seeds 3 --out runs/cmp\n"
    "  kattn compare resnet20 se_resnet20:reduction=8 --data photos --weights cifar10 --export tflite:int8 onnx"
)
RECIPE = "recipe."  # before the name of a recipe's field


def add(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument(
        "models",
        nargs="+",
        metavar="MODEL",
        help="a name of the zoo, name:option=value,option=value, or a .keras file; others are compared with the first",
    )
    add_data(parser, default="digits")
    parser.add_argument(
        "--recipe",
        default="auto",
        help="name of a recipe or a .toml file; auto: finetune with weights, small_data for fewer than 1000 images, "
        "else quick (default: auto)",
    )
    parser.add_argument("--seeds", type=_seeds, default=3, help="how many, or which: 0,1,2 (default: 3)")
    parser.add_argument("--epochs", type=int, help="instead of the recipe's")
    add_set(parser, "option of every model, or recipe.<field>=VALUE; repeatable")
    parser.add_argument("--weights", metavar="TAG", help="what every name starts from: a tag or a file (default: none)")
    parser.add_argument("--validation", type=float, default=0.1, help="share of the training images (default: 0.1)")
    parser.add_argument("--split-seed", type=int, default=0, help="seed of the splits (default: 0)")
    parser.add_argument("--on-error", choices=("raise", "skip"), default="raise", help="as for kattn train")
    add_computing(parser)
    parser.add_argument(
        "--export",
        nargs="+",
        default=[],
        metavar="FORMAT",
        help="evaluate each run's exported files too: format or format:precision, such as tflite:int8 onnx",
    )
    parser.add_argument("--confidence", type=float, default=0.95, help="of the intervals (default: 0.95)")
    parser.add_argument("--out", help="folder (default: runs/compare-<first model>-<data>-<recipe>)")
    parser.add_argument(
        "--workers", type=int, help="processes that train at the same time (default: one a core; with a GPU none)"
    )
    parser.add_argument("--threads", type=int, default=1, help="of each worker (default: 1)")
    parser.add_argument(
        "--cluster", metavar="ADDRESS", help="a dask scheduler's address or scheduler file, for many machines"
    )
    add_stated(parser, leave_out=("preprocess",))
    parser.add_argument(
        "--resume",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="go on with the same comparison in the folder (default: yes)",
    )
    parser.add_argument("--overwrite", action="store_true", help="start anew in a folder that holds a comparison")


def _seeds(text: str) -> int | list[int]:
    return [int(part) for part in text.split(",")] if "," in text else int(text)


def run(arguments: argparse.Namespace) -> None:
    """Compare, and write the comparison's folder."""
    from kattn.comparison.comparing import compare

    of_recipe = [setting for setting in arguments.set if setting.startswith(RECIPE)]
    names = "recipe seeds epochs weights validation split_seed on_error class_weight precision export confidence out"
    names += " workers threads cluster resume overwrite"
    given: dict[str, Any] = {name: getattr(arguments, name) for name in names.split()}
    found = compare(
        arguments.models,
        options=options_of([each for each in arguments.set if each not in of_recipe]),
        overrides=options_of([setting.removeprefix(RECIPE) for setting in of_recipe]),
        imports=arguments.imports or (),
        **given,
        **data_of(arguments),
        **stated_of(arguments),
    )
    for model, times in found.times.items():
        print(f"{model}: " + ", ".join(f"{name} {ms:.2f} ms an image" for name, ms in times.items()))
