"""What a file of another collection holds: where its network is, and which head it has.

Training programs put a prefix before the names of a network (`module.`, `model.`, `backbone.`, or several of them).
Beside the network their files hold other things, such as a loss's weights or a second copy of the network. The network
is below the prefix where the tables know most names.

A head can have any name. Where no table knows it, it is recognised by its shapes: dense layers beside the body of the
network, each of which takes what the one before it gives.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from kattn.zoo.weights.naming.dialects import STYLES, Dialect, dialects
from kattn.zoo.weights.naming.layouts import Shape

SHARED = 0.2  # share of the names that must begin with a prefix before it is tried
HEAD = "logits"  # our layer
MOST_CLASSES = 100_000  # a file with more is only believed if the user writes classes=
_KERNELS = ("weight", "kernel")


def without_prefix(names: Iterable[str]) -> tuple[dict[str, str], frozenset[str]]:
    """The names of a file's tensors, without the prefix of its network.

    Returns: Each name, short for the network's tensors, with the name in the file; and the names outside the network.
    """
    names = tuple(names)
    prefix = _network(names)
    inside = {name[len(prefix) :]: name for name in names if name.startswith(prefix)}
    outside = {name: name for name in names if not name.startswith(prefix) and name not in inside}
    return inside | outside, frozenset(outside)


def _network(names: tuple[str, ...]) -> str:
    """The prefix below which the tables know most names; of several such prefixes the shortest."""
    counts = Counter(
        ".".join(parts[:end]) + "." for parts in (n.split(".") for n in names) for end in range(1, len(parts))
    )
    tried = ["", *(prefix for prefix, count in counts.items() if count >= SHARED * len(names))]
    known = {prefix: _known([n[len(prefix) :] for n in names if n.startswith(prefix)]) for prefix in tried}
    best = max(known, key=lambda prefix: (known[prefix], -len(prefix)))
    return best if known[best] else _common(names)


def _known(names: list[str]) -> int:
    """How many of these names the best table knows."""
    best = 0
    for table in dialects().values():
        best = max(best, sum(table.knows(name) for name in names))
        if best == len(names):
            break
    return best


def _common(names: tuple[str, ...]) -> str:
    """The prefix of all names, where none is known. Names of one single layer's variables keep the layer's name."""
    prefix = ""
    while names:
        longer = prefix + names[0][len(prefix) :].partition(".")[0] + "."
        if not all(name.startswith(longer) and len(name) > len(longer) for name in names):
            break
        if not any("." in name[len(longer) :] for name in names):
            break
        prefix = longer
    return prefix


# ---------------------------------------------------------------- the head


def head_keys(dialect: Dialect, style: str) -> set[str]:
    """The names that a table knows for the head's tensors."""
    names = [dialect.find(f"{HEAD}/{variable}", style) for variable in ("kernel", "bias")]
    return {key for name in names if name for key in name.keys}


def count_classes(shapes: Mapping[str, Shape]) -> int | None:
    """The number of classes that a file's head has; None where none is found.

    Raises: ValueError for more than MOST_CLASSES.
    """
    found = _by_table(shapes) or _by_kind(shapes)
    if found is not None and found > MOST_CLASSES:
        raise ValueError(
            f"The file's head has {found:,} classes; more than {MOST_CLASSES:,} are not built unless you say so: "
            f"classes={found}."
        )
    return found


def _by_table(shapes: Mapping[str, Shape]) -> int | None:
    for table in dialects().values():
        names = {key for style in STYLES for key in head_keys(table, style)}
        head = [shape for key, shape in shapes.items() if table.source_name(key) in names]
        for (classes,) in (shape for shape in head if len(shape) == 1):
            if any(len(shape) > 1 and classes in shape for shape in head):
                return classes
    return None


def _by_kind(shapes: Mapping[str, Shape]) -> int | None:
    """The classes of the last dense layer beside the convolutions: no other one takes what it gives."""
    body = {_first(key) for key, shape in shapes.items() if len(shape) > 2}
    ends: dict[str, tuple[int, int]] = {}  # features in and out
    for layer, kernel in _dense(shapes).items():
        bias = shapes.get(f"{layer}.bias", ())
        if _first(layer) not in body and len(bias) == 1 and bias[0] in kernel:
            ends[layer] = (kernel[kernel[0] == bias[0]], bias[0])
    last = [out for layer, (_, out) in ends.items() if all(ends[other][0] != out for other in ends if other != layer)]
    return last[-1] if last else None


def find_head(
    left: Mapping[str, Shape], body: Collection[str], outside: Collection[str], style: str, features: int | None
) -> list[str]:
    """The dense layers of a head, in order. Empty where these tensors are not a head.

    Args:
        left: Tensors that have no place in the model yet.
        body: Tensors that have one.
        outside: Tensors outside the network. They may belong to the head, or to something else.
        style: Framework of the file.
        features: How many features the head takes; None for any number.
    """
    inside = {_first(key) for key in body}
    free = {key for key in left if key not in outside}
    waiting = {layer: kernel[:: 1 if style == "keras" else -1] for layer, kernel in _dense(left).items()}
    head: list[str] = []
    while fitting := [layer for layer, (into, _) in waiting.items() if features in (None, into)]:
        # The order in a file need not be that of the layers: of several that fit, take one that another one follows.
        wanted = {layer: {into for one, (into, _) in waiting.items() if one != layer} for layer in fitting}
        head.append(next((layer for layer in fitting if waiting[layer][1] in wanted[layer]), fitting[0]))
        features = waiting.pop(head[-1])[1]
    known = {f"{layer}.{kernel}" for layer in head for kernel in _KERNELS}
    foreign = any(len(left[key]) > 1 and key not in known for key in free)
    return [] if foreign or any(_first(key) in inside for key in free | known & left.keys()) else head


def _dense(shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """Kernels of dense layers by the layer's name."""
    split = ((key.rpartition("."), shape) for key, shape in shapes.items())
    return {layer: shape for (layer, _, variable), shape in split if variable in _KERNELS and len(shape) == 2}


def _first(key: str) -> str:
    return key.split(".")[0]
