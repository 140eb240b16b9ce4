"""What users of a checkout can reach: names, signatures, command-line options, registered names, as JSON on stdout.

    python tests/support/public_api.py > public_api.json

describes the kattn on PYTHONPATH. `tests/data/before/public_api.json` was written so by the commit before the code
moved into packages, whose modules `kattn.data`, `kattn.training` ... are packages now.
"""

import argparse
import ast
import csv
import functools
import importlib
import inspect
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

FACES = ("kattn", "kattn.layers", "kattn.zoo", "kattn.export", "kattn.explain")
FACES += ("kattn.data", "kattn.training", "kattn.evaluation", "kattn.tuning", "kattn.insertion")
LAZY = {"kattn.tuning": ("AttentionHyperModel",)}  # what `dir` of the old module did not show


def describe():
    """Everything, as JSON holds it."""
    return {
        "names": {face: described_names(face) for face in FACES},
        "models": [row["name"] for row in models()],
        "builders": builders(),
        "commands": commands(),
        "registered": registered(),
    }


def described_names(face):
    """Public functions and classes of kattn that a package or module offers, by name."""
    package = importlib.import_module(face)
    names = {*dir(package), *LAZY.get(face, ())} - {row["name"] for row in models()}
    values = {name: getattr(package, name, None) for name in sorted(names) if not name.startswith("_")}
    return {name: described(value) for name, value in values.items() if is_own(value)}


def is_own(value):
    """Whether a value is a function or a class of kattn."""
    return (inspect.isclass(value) or inspect.isfunction(value)) and value.__module__.startswith("kattn")


def described(value):
    """A function's parameters, or those of a class's constructor and its public methods."""
    if not inspect.isclass(value):
        return parameters(value)
    own = [vars(each) for each in reversed(value.__mro__) if each.__module__.startswith("kattn")]
    members = {name: member for names in own for name, member in names.items() if not name.startswith("_")}
    methods = {name: parameters(member) for name, member in members.items() if inspect.isfunction(member)}
    properties = [name for name, member in members.items() if isinstance(member, property | functools.cached_property)]
    return {"constructor": parameters(value), "methods": methods, "properties": properties}


def parameters(function):
    """The parameters as Python writes them, without annotations: "(model, *, data='digits')"."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # built in, such as the constructor of an exception
        return "()"
    bare = [each.replace(annotation=each.empty, default=Written.of(each)) for each in signature.parameters.values()]
    return str(inspect.Signature(bare))


class Written:
    """A default whose text is the same in every process, and can be read as Python."""

    def __init__(self, text):
        self.text = text

    def __repr__(self):
        return self.text

    @classmethod
    def of(cls, parameter):
        """The default of a parameter."""
        value = parameter.default
        if value is parameter.empty:
            return value
        return cls(repr(value) if is_python(repr(value)) else type(value).__name__)


def is_python(text):
    """Whether a text is an expression."""
    try:
        ast.parse(text, mode="eval")
    except SyntaxError:
        return False
    return True


def models():
    """The rows of the zoo's table of models."""
    import kattn

    with open(Path(kattn.__file__).parent / "zoo" / "models.csv", encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def builders():
    """The parameters of a model for each mechanism, and of a plain one for each backbone that has others."""
    zoo = importlib.import_module("kattn.zoo")
    chosen = {row["attention"]: row["name"] for row in reversed(models())} | {
        row["backbone"]: row["name"] for row in models() if not row["attention"]
    }
    found = {}
    for name in sorted(set(chosen.values())):
        found.setdefault(parameters(getattr(zoo, name)), name)
    return {name: text for text, name in found.items()}


def commands():
    """Every option of every command."""
    try:
        build_parser = importlib.import_module("kattn.cli.main").build_parser
    except ModuleNotFoundError:
        build_parser = importlib.import_module("kattn.cli").build_parser
    parser = build_parser()
    (subparsers,) = (each for each in parser._actions if isinstance(each, argparse._SubParsersAction))
    return {"": options(parser)} | {name: options(sub) for name, sub in sorted(subparsers.choices.items())}


def options(parser):
    """The options of one parser by name; positional ones by the name of their value."""
    found = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction | argparse._HelpAction):
            continue
        about = {
            "nargs": action.nargs,
            "required": action.required,
            "default": None if action.default is argparse.SUPPRESS else repr(action.default),
            "choices": None if action.choices is None else list(action.choices),
        }
        for name in action.option_strings or [action.dest]:
            found[name] = about
    return found


def registered():
    """Names under which Keras finds kattn's classes in files."""
    import keras

    import kattn

    importlib.import_module("kattn.layers")
    for name in ("train", "tune"):  # their modules register optimizers and schedules
        getattr(kattn, name)
    return sorted(name for name in keras.saving.get_custom_objects() if name.startswith("kattn>"))


if __name__ == "__main__":
    json.dump(describe(), sys.stdout, indent=1)
    print()
