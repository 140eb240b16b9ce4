"""What a file of another collection holds, told by names and shapes: where its network lies, and which head it has.

Training programs put something before the names of a network (`module.`, `model.`, `backbone.`, also several of them),
and beside it other things, such as a loss's weights or a copy of the network. Where the network lies is told by the
names that the tables know. The head has many names; beyond those in the tables it is told by what it is: dense layers
that lead one into the next, beside the network's body and not inside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from kattn.zoo.weights.dialects import STYLES, Dialect, dialects
from kattn.zoo.weights.layouts import Shape

SHARED = 0.2  # at least this part of the names begins with a prefix that is tried
HEAD = "logits"  # our layer
MOST_CLASSES = 100_000  # that a file is believed without a word of the user's
_KERNELS = ("weight", "kernel")


def without_prefix(names: Iterable[str]) -> tuple[dict[str, str], frozenset[str]]:
    """Names without what stands before the network's.

    Args:
        names: Of all tensors of a file.

    Returns: Each short name with its whole name, and those of them that lie outside the network, which are whole.
    """
    names = tuple(names)
    prefix = _network(names)
    inside = {name[len(prefix) :]: name for name in names if name.startswith(prefix)}
    outside = {name: name for name in names if not name.startswith(prefix) and name not in inside}
    return inside | outside, frozenset(outside)


def _network(names: tuple[str, ...]) -> str:
    """The prefix below which most names are known; the shortest where several are alike."""
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
    """What stands before all names, but for a single layer's variables."""
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

    Raises: ValueError for a number that is hardly meant.
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
    """The classes of the dense layer that no other one follows, of those beside the convolutions and not among them."""
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
    """The dense layers, in order, that lead from the body's features to scores; none where this is no head.

    Args:
        left: Tensors that have no other place.
        body: Tensors that have one.
        outside: Tensors that do not lie where the network lies; they may be of the head, and of anything else.
        style: Framework of the file.
        features: That the head begins with; None for any number.
    """
    inside = {_first(key) for key in body}
    free = {key for key in left if key not in outside}
    waiting = {layer: kernel[:: 1 if style == "keras" else -1] for layer, kernel in _dense(left).items()}
    head: list[str] = []
    while fitting := [layer for layer, (into, _) in waiting.items() if features in (None, into)]:
        # Of several that fit, one that leads on; the order in a file need not be that of the layers.
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
