"""Options that several commands share, and the values that they are read as."""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any


def add_data(parser: argparse.ArgumentParser, default: str | None, shown: str | None = None) -> None:
    """--data and what belongs to it; `shown` describes a default that is worked out later."""
    text = "digits, a TFDS name, a folder of images by class, or A:B to train on one and test on another"
    shown = shown or default or "what the run was trained on"
    parser.add_argument("--data", default=default, help=f"{text} (default: {shown})")
    add_data_dir(parser)
    parser.add_argument("--image-size", type=int, help="bring all images to this height and width")
    parser.add_argument("--limit", type=int, help="at most so many images of each split")


def data_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """What `add_data` read, as `kattn.train`, `evaluate` and `tune` take it."""
    return {name: getattr(arguments, name) for name in ("data", "data_dir", "image_size", "limit")}


def add_data_dir(parser: argparse.ArgumentParser) -> None:
    """--data-dir."""
    parser.add_argument("--data-dir", help="where tensorflow-datasets keeps its data")


def add_reading(parser: argparse.ArgumentParser) -> None:
    """How images are read: --on-error and --cache."""
    parser.add_argument(
        "--on-error",
        choices=("raise", "skip"),
        help="of unreadable files, and classes that a part lacks: skip leaves them out, counted (default: raise)",
    )
    parser.add_argument(
        "--cache",
        action=argparse.BooleanOptionalAction,
        help="keep the decoded images in memory, or decode each when it is needed (default: keep them if they fit)",
    )


def add_computing(parser: argparse.ArgumentParser) -> None:
    """--class-weight and --precision of a training."""
    parser.add_argument(
        "--class-weight",
        type=class_weight,
        metavar="WEIGHTS",
        help="what images of each class count in the loss: balanced, or CLASS=WEIGHT,CLASS=WEIGHT (default: all 1)",
    )
    parser.add_argument(
        "--precision",
        default="float32",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
        help="of the computation; weights and answers stay float32 (default: float32)",
    )


def add_weights(parser: argparse.ArgumentParser) -> None:
    """--weights, of a run or of a model of the zoo."""
    parser.add_argument(
        "--weights",
        metavar="TAG",
        help="of a model of the zoo: a tag of `kattn info`, such as cifar10, or a file (default: random weights); "
        "of a run: best or last (default: as its recipe says)",
    )


def add_trust(parser: argparse.ArgumentParser) -> None:
    """--trust."""
    parser.add_argument(
        "--trust",
        action="store_true",
        help="open also an exported file that could read or write files or run code, such as some SavedModels: only if "
        "you trust where it comes from",
    )


def add_set(parser: argparse.ArgumentParser, text: str = "option of the model; repeatable") -> None:
    """--set OPTION=VALUE."""
    parser.add_argument("--set", action="append", default=[], metavar="OPTION=VALUE", help=text)


def options_of(settings: Sequence[str]) -> dict[str, Any]:
    """OPTION=VALUE pairs; a value is read as a Python literal where it is one, else as text."""
    options = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key.isidentifier():
            raise ValueError(f"--set takes OPTION=VALUE, such as --set reduction=8. Received: {setting!r}")
        options[key] = literal(text)
    return options


def literal(text: str) -> Any:
    """A Python literal where the text is one, else the text."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def numbers(text: str) -> tuple[float, ...]:
    """Numbers with commas between."""
    return tuple(float(part) for part in text.split(","))


def stated_options() -> dict[str, dict[str, Any]]:
    """What can be stated of a model, as argparse takes it: the arguments of the library, from its table."""
    from kattn.facts.stated import OPTIONS

    types = {"value_range": numbers, "labels": listed}
    return {
        name: {"help": option.help}
        | ({"choices": option.choices} if option.choices else {"metavar": option.metavar, "type": types.get(name, str)})
        for name, option in OPTIONS.items()
    }


def add_stated(parser: argparse.ArgumentParser, leave_out: Collection[str] = ()) -> None:
    """What can be stated of a model."""
    group = parser.add_argument_group("what is known of the model", "where neither it nor its files say it")
    for name, settings in stated_options().items():
        if name not in leave_out:
            group.add_argument(f"--{name.replace('_', '-')}", **settings)


def stated_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """What `add_stated` read, as the library's functions take it."""
    from kattn.facts.stated import OPTIONS

    found = {name: getattr(arguments, name, None) for name in OPTIONS}
    return {name: value for name, value in found.items() if value is not None}


def listed(text: str) -> str | list[str]:
    """Names with commas between; the name of a file, which holds one a line, as it is."""
    return [part.strip() for part in text.split(",")] if "," in text and not Path(text).is_file() else text


def joined(words: Sequence[str]) -> list[str]:
    """Words of a command line with a value that begins with a minus, as in `--value-range -1,1`, tied to its option."""
    found: list[str] = []
    for word in words:
        if re.fullmatch(r"-[\d.].*,.*", word) and found and re.fullmatch(r"--[a-z-]+", found[-1]):
            found[-1] += f"={word}"
        else:
            found.append(word)
    return found


def class_weight(text: str) -> Any:
    """--class-weight: a word, or CLASS=WEIGHT,CLASS=WEIGHT as a mapping."""
    pairs = [part.rpartition("=") for part in text.split(",")]
    return {name: float(weight) for name, _, weight in pairs} if "=" in text else text
