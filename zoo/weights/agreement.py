"""Whether a model that is to be built computes what its weights were trained in.

Many options change the function and no tensor's shape (GC's `fusion`, SE's `squeeze`, `mean`). Weights record how their
network was built. Published ones record what is not the model's default; files of kattn record what the builder knew.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

logger = logging.getLogger("kattn")


class OtherNetwork(ValueError):
    """Weights of another network than the one that is to have them."""


# Options that change nothing of what trained weights compute: how weights start, what flows back, what is given out
# besides.
SAME_FUNCTION = ("zero_init_residual", "detach", "attention_map")
# Attention that is not in the model's name, as `zoo.attentions.recorded` writes it.
OWN_ATTENTION = "own_attention"
# How many tensors there are, and their sizes, say these: loading compares them where nothing is recorded.
IN_TENSORS = ("depths", "widths")


def require_agreement(
    shown: str, model: str, recorded: Mapping[str, Any], given: Mapping[str, Any], classes: int | None = None
) -> None:
    """Refuse options other than those of the network that the weights were trained in.

    Args:
        shown: What messages call the weights.
        model: Name in the zoo.
        recorded: Options of the trained network; None for what is not known of "mean", "std" or the activation.
        given: What the caller set. With `strict_options=False` a difference is a line in the log.
        classes: Of the trained network. A new head may have another activation; it is trained, so that a difference in
            "mean" and "std" is a line in the log too.

    Raises: OtherNetwork, a ValueError, for another attention; ValueError for the first option that differs.
    """
    was = tuple(recorded.get(OWN_ATTENTION, ()))
    asked = tuple(given.get(OWN_ATTENTION, was))
    if was != asked:
        told = [f"attention {', '.join(one)}" if one else "no attention but what its name says" for one in (was, asked)]
        raise OtherNetwork(f"{model}: the weights {shown} are of a network with {told[0]}. Received: {told[1]}.")
    for key, value in recorded.items():
        if key in (*SAME_FUNCTION, OWN_ATTENTION) or key not in given or _same(given[key], value):
            continue
        if key in ("mean", "std") and (value is None or given[key] is None):
            continue
        new_head = given.get("classes") not in (None, classes)
        logits = key == "classifier_activation" and None in (value, given[key])
        if logits or (key == "classifier_activation" and (new_head or not given.get("include_top", True))):
            continue
        differs = f"{model}: the weights {shown} are of a network with {key}={value!r}. Received: {key}={given[key]!r}"
        if given.get("strict_options", True) and not (new_head and key in ("mean", "std")):
            raise ValueError(
                f"{differs}; leave it out, or use other weights. (strict_options=False builds it, of another function.)"
            )
        logger.warning("%s; it is built as asked, and computes something else than what was trained", differs)


def as_built(arguments: Mapping[str, Any], defaults: Mapping[str, Any], backbone: Any) -> dict[str, Any]:
    """What a file of a model's weights says of it: all options that say what they compute.

    Args:
        arguments: What the model was built with; "weights" as they were found.
        defaults: The model's own options with their defaults.
        backbone: Its row, for the defaults of every model.
    """
    options = {key: arguments.get(key, value) for key, value in defaults.items() if key not in SAME_FUNCTION}
    source = arguments.get("weights")

    def chosen(key: str) -> Any:
        return arguments.get(key) or getattr(source, key, None) or getattr(backbone, key)

    if arguments.get("include_preprocessing", True):
        options |= {key: tuple(chosen(key)) for key in ("mean", "std")}
    if arguments.get("include_top", True):
        activation = arguments.get("classifier_activation", "softmax")
        options |= {"classes": chosen("classes"), "classifier_activation": activation}
    return options


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (one, other))
    return math.isclose(one, other, rel_tol=1e-6) if numbers else bool(one == other)
