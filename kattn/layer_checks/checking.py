"""`kattn.layers.check`: all checks of one layer, and what they found."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from kattn.graph.copies import copy_layer
from kattn.layer_checks.checks import BASICS, EVERYWHERE, Skipped, Subject, check_attention, check_site
from kattn.layer_checks.elsewhere import check_on, others
from kattn.layer_checks.report import FAILED, PASSED, SKIPPED, Finding, LayerReport
from kattn.layer_checks.running import build, randomise
from kattn.suggest import unknown

SHAPE = (2, 8, 8, 16)


def check(
    layer: Any,
    inputs: Any = None,
    *,
    only: Collection[str] | None = None,
    leave_out: Collection[str] = (),
    huge: float = 1e6,
    half_tolerances: Mapping[str, float] | None = None,
    export_tolerance: float = 1e-4,
    allow: Sequence[str] = (),
) -> LayerReport:
    """Check that a layer does what every layer of a network must, with random weights.

    >>> print(kattn.layers.check(MyGate))
    >>> kattn.layers.check(MyGate(reduction=8), only=("config", "gradients")).require()  # in a test

    The checks: "shapes" (promised and given ones agree), "site" (a map of the same shape, so that it can stand in a
    network of the zoo), "seed", "config" (`get_config` makes it anew), "saving" (a `.keras` file), "gradients" (finite
    on given, constant, zero and huge inputs), "half precision", "XLA", "TFLite" and "ONNX" (with the operator or
    difference that is in the way), "attention" (`return_attention`), and each other backend that is installed, in a
    process of its own ("jax", "torch", "tensorflow").

    Args:
        layer: A layer class, a function that makes a layer, or a layer, whose configuration is copied.
        inputs: An array, or a list of arrays for a layer of several inputs, with a batch of at least 2. None: standard
            normal numbers of shape (2, 8, 8, 16).
        only: Names of the checks to make. None: all.
        leave_out: Names of checks not to make.
        huge: What inputs are multiplied by to be huge.
        half_tolerances: Allowed error of "mixed_float16" (default: 0.01) and "mixed_bfloat16" (default: 0.08). Errors
            are the largest difference over 1 + the largest value.
        export_tolerance: Allowed error of exported files.
        allow: Operators that the exporters would refuse.

    Returns: The report. Printed, it is a table; it is true where nothing failed; `require()` raises where something
        did.
    Raises: ValueError for what is no layer, an unknown check, or a batch of one.
    """
    arrays = _arrays(inputs)
    kept = _layer(layer)
    checks: dict[str, Callable[[Subject], str]] = {**BASICS, "site": check_site, **EVERYWHERE}
    checks["attention"] = check_attention
    checks |= {name: functools.partial(check_on, backend=name) for name in others()}
    for name in (*(only or ()), *leave_out):
        if name not in checks:
            raise unknown("check", name, checks)
    chosen = [name for name in checks if (only is None or name in only) and name not in leave_out]
    title = type(kept).__name__
    try:
        build(kept, *arrays)
        randomise(kept)
    except Exception as problem:  # the layer of a user may fail in any way
        return LayerReport(title, (Finding("build", FAILED, _said(problem)),))
    subject = Subject(kept, arrays, huge, half_tolerances or {}, export_tolerance, allow)
    return LayerReport(title, tuple(_finding(name, checks[name], subject) for name in chosen))


def _finding(name: str, function: Callable[[Subject], str], subject: Subject) -> Finding:
    try:
        return Finding(name, PASSED, function(subject))
    except Skipped as reason:
        return Finding(name, SKIPPED, str(reason))
    except Exception as problem:  # the layer of a user may fail in any way
        return Finding(name, FAILED, _said(problem))


def _said(problem: Exception) -> str:
    kind = "" if isinstance(problem, AssertionError) else f"{type(problem).__name__}: "
    return f"{kind}{' '.join(str(problem).split())[:600]}"


def _arrays(inputs: Any) -> tuple[np.ndarray, ...]:
    if inputs is None:
        inputs = np.random.default_rng(0).standard_normal(SHAPE)
    arrays = tuple(np.asarray(x, "float32") for x in (inputs if isinstance(inputs, list | tuple) else [inputs]))
    if any(x.ndim < 2 or len(x) < 2 for x in arrays):
        raise ValueError(f"inputs need a batch of at least two. Received shapes: {[x.shape for x in arrays]}")
    return arrays


def _layer(given: Any) -> keras.Layer:
    if isinstance(given, keras.Layer):
        return copy_layer(given) if given.built else given
    made = given() if callable(given) else given
    if not isinstance(made, keras.Layer):
        raise ValueError(f"layer is a layer class, a function that makes a layer, or a layer. Received: {given!r}")
    return made
