"""The options of a builder: those of every model, of the backbone and of the attention; its signature and docstring."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterable
from typing import Any

from kattn.zoo.backbones.row import Backbone
from kattn.zoo.grammar.combining import AnyAttention
from kattn.zoo.grammar.factories import unwrapped
from kattn.zoo.grammar.sites import POSITIONS

# Options of every model, with their types and defaults.
STANDARD = {
    "attention": ("Any", None),
    "start": ("str | None", None),
    "weights": ("str | pathlib.Path | None", None),
    "include_top": ("bool", True),
    "input_shape": ("tuple[int | None, int | None, int] | None", None),
    "input_tensor": ("keras.KerasTensor | None", None),
    "pooling": ("str | None", None),
    "classes": ("int | None", None),
    "classifier_activation": ("str | None", "softmax"),
    "include_preprocessing": ("bool", True),
    "mean": ("Sequence[float] | None", None),
    "std": ("Sequence[float] | None", None),
    "freeze": ("int | None", None),
    "cache_dir": ("str | pathlib.Path | None", None),
    "strict_options": ("bool", True),
    "name": ("str | None", None),
}
STANDARD_DOC = """\
    attention: More attention: a layer class, a function of name that makes a layer, a `kattn.zoo.Attention` of sites, a
        name, or a tuple of these. A layer stands at the end of each residual branch; its options are this function's.
    start: "identity": the network gives what the plain one gives until it is trained, and weights= is of the plain one.
        What each attention changes is added by a learned scale that starts at zero. None: as the papers start it.
    weights: None (random), the tag of published weights ("imagenet"; `kattn.zoo.info` lists them), or a path:
        .weights.h5, .keras, or a file of another collection (.safetensors, torch's .pth, the .h5 of Keras 2).
    include_top: False leaves pooling and classifier out.
    input_shape: (height, width, channels); height and width may be None. Default: {input_shape}.
    input_tensor: A Keras tensor to build on, instead of a new input.
    pooling: None, "avg" or "max": pooling of the last map, with include_top=False.
    classes: Number of classes. Default: the weights', else {classes}. 1 with "sigmoid" is one unit of yes or no.
    classifier_activation: Of the classifier; None gives logits.
    include_preprocessing: True takes RGB pixels 0-255 and normalises them inside the model; False leaves that to you.
    mean, std: Of RGB in 0-1, to normalise with. Default: the weights', else {mean} and {std}.
    freeze: With weights: the last stage, from 1, that keeps them; 0 is the stem. Default: everything is trained.
    cache_dir: Folder for fetched weights. Default: KATTN_CACHE, else the user's cache.
    strict_options: False lets options differ from those that the weights were trained with; the log says which. Such a
        network computes something else, and is a start for training at most.
    name: Of the model. Default: {name}."""
PLACING_DOC = {
    "stages": "Stages (counted from 1) that get the attention; None: the paper's.",
    "position": f"Where it stands: {', '.join(POSITIONS)}.",
}


def signature_of(own: dict[str, inspect.Parameter]) -> inspect.Signature:
    """The signature of a builder, keyword options only: every model's, then its own."""
    standard = [
        inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for key, (annotation, default) in STANDARD.items()
        if key not in own
    ]
    return inspect.Signature([*standard, *own.values()], return_annotation="keras.Model")


def check_options(name: str, given: Iterable[str], own: Iterable[str]) -> None:
    """Raise a TypeError for options that the model does not have, with those it has."""
    if unknown := sorted(set(given) - STANDARD.keys() - set(own)):
        raise TypeError(
            f"{name} has no option {', '.join(unknown)}. Options of this model: {', '.join(sorted(own)) or 'none'}. "
            f"Options of every model: {', '.join(STANDARD)}."
        )


def check_classifier(classes: int | None, activation: Any) -> None:
    """Raise ValueError for one class with a softmax, which would be 1 for every image."""
    if classes == 1 and getattr(activation, "__name__", activation) == "softmax":
        raise ValueError(
            "classes=1 with a softmax is 1 for every image. One unit that answers yes or no is "
            'classifier_activation="sigmoid", one number (a regression) classifier_activation=None; two classes that '
            "exclude each other are classes=2."
        )


def arguments_of(function: Any) -> dict[str, str]:
    """What the docstring of a function or class says of each argument."""
    section = re.search(r"^Args:\n((?: +.*\n|\n)+)", f"{inspect.getdoc(function)}\n", re.MULTILINE)
    found = re.findall(r"^    (\w[\w, ]*): (.*(?:\n     .*)*)", section[1] if section else "", re.MULTILINE)
    return {name: " ".join(text.split()) for names, text in found for name in names.split(", ")}


def docstring_of(name: str, attention: AnyAttention, backbone: Backbone) -> str:
    """The docstring of a builder."""
    lines = [f"{name}: a functional Keras model.", "", "Args:"]
    facts = {key: getattr(backbone, key) for key in ("input_shape", "classes", "mean", "std")}
    lines.append(STANDARD_DOC.format(name=name, **facts))
    factories = [factory for site in attention.used_sites() for factory in attention.standing(site)]
    parts = [unwrapped(backbone.network), *map(unwrapped, factories)]
    known = {key: text for part in reversed(parts) for key, text in arguments_of(part).items()} | PLACING_DOC
    for key, option in (backbone.user_options() | attention.options()).items():
        text = known.get(key, "Of the mechanism." if key in attention.options() else "Of the backbone.")
        text = f"{key}: {text} Default: {option.default!r}."
        lines += textwrap.wrap(text, 118, initial_indent=" " * 4, subsequent_indent=" " * 8)
    for target in parts[1:]:
        lines.append(
            f"    (see help({target.__module__}.{getattr(target, '__qualname__', type(target).__qualname__)}))"
        )
    lines += ["", f"Backbone: {backbone.paper}"]
    if attention.paper:
        lines.append(f"Attention: {attention.paper}")
    return "\n".join(lines)
