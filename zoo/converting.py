"""Weights of other collections into a model of the zoo."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras

from kattn.zoo.tables import builder, rows
from kattn.zoo.weights.assigning import load_tensors
from kattn.zoo.weights.files.foreign_files import open_tensors
from kattn.zoo.weights.naming.recognition import HEAD, count_classes
from kattn.zoo.weights.pairing import Mismatch, listing
from kattn.zoo.weights.saving import remember_options, save_weights

logger = logging.getLogger("kattn")

NOT_KEPT = ("attention", "start", "freeze", "strict_options", "cache_dir", "name")  # are of this call, not of the file

# What is tried where the file does not say how the network was built: variants of a ResNet.
VARIANTS: tuple[dict[str, Any], ...] = (
    {},
    {"shortcut": "A"},
    {"shortcut": "D", "stem_widths": (32, 32, 64)},
    {"shortcut": "D", "stem_widths": (24, 32, 64)},
)

ROUNDED: dict[str, Any] = {"divisor": 8}  # the gates' widths in timm's SE-networks


def _differs_in_gates(problem: Mismatch) -> bool:
    """Whether tensors of gates have other widths in the file."""
    return any("squeeze_excite/" in path for path in problem.plan.differing)


def convert(
    source: Any,
    model: str,
    *,
    out: str | Path | None = None,
    dialect: str | None = None,
    ema: bool = False,
    mean: Iterable[float] | None = None,
    std: Iterable[float] | None = None,
    half: bool = False,
    **options: Any,
) -> keras.Model:
    """A model of the zoo with the weights of another collection.

    Args:
        source: A file (`.safetensors`, torch's `.pth` and its kin, Keras's `.h5` and `.keras`, `.npz`), a Keras model
            such as one of keras.applications, or a mapping of names to arrays such as a torch state dict.
        model: Name in the zoo.
        out: Where to write the converted weights, ending in `.weights.h5`. The file remembers how the model was built
            and normalised: `kattn.zoo.create(model, weights=out)` needs no options.
        dialect: Table of names to follow; None takes the one that fits.
        ema: Of a checkpoint that holds averaged weights beside the trained ones: take the averaged.
        mean, std: What the weights' own training normalised RGB in 0-1 with. Default: the model's.
        half: Store kernels in half precision.
        options: Of the model. What is not given and can be told from the file is: the number of classes, of a ResNet
            its shortcuts and stem, of SE whether its widths are rounded as timm's (`divisor=8`). With `classes` another
            head than the file's is built, and stays new.

    Returns: The model.
    Raises: FileNotFoundError; ValueError for a file that cannot be read safely, or that is of another network, with
        what is missing, unexpected and of another shape.
    """
    if out is not None and not str(out).endswith(".weights.h5"):
        raise ValueError(f"out must end in .weights.h5. Received: out={str(out)!r}")
    shown = repr(str(source)) if isinstance(source, str | Path) else "the source"
    build, (attention, backbone) = builder(model), rows(model)
    own = {*backbone.options, *attention.options()}
    adaptable = {HEAD: -1} if options.get("classes") else {}
    options |= {key: tuple(value) for key, value in (("mean", mean), ("std", std)) if value is not None}
    variants = [one for one in VARIANTS if one.keys() <= {*backbone.options} and not one.keys() & options.keys()]
    best: Mismatch | None = None
    with open_tensors(source, ema=ema) as tensors:
        if "classes" not in options and (classes := count_classes(tensors.shapes)):
            options["classes"] = classes
        variants = variants or [{}]
        for variant in variants:  # which may grow
            network = build(**options, **variant)
            try:
                plan = load_tensors(network, tensors, dialect=dialect, shown=shown, adaptable=adaptable)
            except Mismatch as problem:
                if best is None or problem.plan.problems < best.plan.problems:
                    best = problem
                rounded = {**variant, **ROUNDED}
                if _differs_in_gates(problem) and rounded.keys() <= own - options.keys() and rounded not in variants:
                    variants.append(rounded)
                continue
            break
        else:
            assert best is not None
            raise best
    options |= variant
    logger.info("%s: %s follows %s; options %s", model, shown, plan.dialect.name, options)
    for line in listing("left out of the file", plan.left_out) + listing("new layers", sorted(plan.renewed)):
        logger.warning("%s: %s", model, line)
    if not {"mean", "std"} <= options.keys() and options.get("include_preprocessing", True):
        logger.warning(
            "%s: pixels 0-255 are normalised with mean %s and std %s; mean= and std= say what the file's training used",
            model,
            options.get("mean", backbone.mean),
            options.get("std", backbone.std),
        )
    if out is not None:
        remember_options(network, {key: value for key, value in options.items() if key not in NOT_KEPT})
        save_weights(network, out, half=half)
    return network
