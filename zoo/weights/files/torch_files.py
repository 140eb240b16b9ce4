"""Torch's checkpoints, which are pickles: read only by torch's own loader of plain tensors."""

from __future__ import annotations

import logging
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

logger = logging.getLogger("kattn")

SUFFIXES = (".pth", ".pt", ".th", ".bin", ".ckpt", ".pth.tar")
# Where training scripts keep the network in what they save, best first; averaged weights (EMA) apart.
TRAINED_KEYS = ("state_dict", "model_state_dict", "model", "net", "network", "weights")
AVERAGED_KEYS = ("state_dict_ema", "model_ema", "ema", "ema_state_dict", "model_ema_state_dict")
SAFE = (2, 6)  # before, a prepared file executed code in spite of weights_only=True (CVE-2025-32434)
_OBJECT = re.compile(r"GLOBAL ([\w.]+)")  # in torch's message: what a pickle would have to import


def load(path: Path, ema: bool = False) -> dict[str, Any]:
    """The network's tensors in a file.

    Raises: ValueError without torch or with one that is not safe, for a broken file, for one that holds more than plain
        tensors and numbers, or one without averaged weights where they are asked for.
    """
    try:
        import torch
    except ImportError:
        raise ValueError(
            f"{str(path)!r} is a pickle of torch, which only torch can read without executing it: pip install torch, "
            "or get the same weights as .safetensors."
        ) from None
    if tuple(int(part) for part in re.findall(r"\d+", torch.__version__)[:2]) < SAFE:
        raise ValueError(
            f"{str(path)!r} was not loaded: torch {torch.__version__} can be made to execute a checkpoint "
            "(CVE-2025-32434). Install torch 2.6 or later, or get the same weights as .safetensors."
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as problem:
        raise ValueError(_more_than_tensors(path, str(problem))) from None
    # A damaged file makes torch's reader raise almost anything.
    except Exception as problem:
        reason = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
        raise ValueError(f"{str(path)!r} is not a readable file of torch: {reason} Get it anew.") from None
    return choose(content, repr(str(path)), ema)


def _more_than_tensors(path: Path, message: str) -> str:
    found = _OBJECT.search(message)
    what = f"holds an object {found[1]} beside its tensors" if found else "holds more than tensors"
    again = f"{path.name.partition('.')[0]}_weights.pth"
    return (
        f"{str(path)!r} {what} and was not loaded, because a pickle can execute code. If you trust where it comes "
        "from, save its weights alone, under the name that they have in it (of a whole network: "
        "content.state_dict()):\n"
        f'  content = torch.load("{path.name}", map_location="cpu", weights_only=False)\n'
        f'  torch.save(content["state_dict"], "{again}")'
    )


def choose(content: Any, shown: str, ema: bool = False) -> dict[str, Any]:
    """The network's tensors in a checkpoint, which may hold others (an optimiser's, averages) and numbers.

    A line is logged where there is a choice between trained and averaged weights.

    Args:
        content: What was read.
        shown: What messages call it.
        ema: Take the averaged weights.

    Raises: ValueError where there are none.
    """
    inner = {str(key): _tensors(value) for key, value in content.items()} if isinstance(content, Mapping) else {}
    inner = {key: tensors for key, tensors in inner.items() if tensors}
    trained = [key for key in TRAINED_KEYS if key in inner]
    averaged = [key for key in AVERAGED_KEYS if key in inner]
    if ema and not averaged:
        raise ValueError(f"{shown} holds no averaged weights ({', '.join(AVERAGED_KEYS)}): leave ema out.")
    known = averaged if ema else [*trained, *averaged]
    if trained and averaged:
        other = f"the trained weights are {trained[0]}" if ema else f"the averaged weights are {averaged[0]}: ema=True"
        logger.warning("%s: %s was taken; %s", shown, known[0], other)
    if known:
        return inner[known[0]]
    if whole := _tensors(content):
        return whole
    if len(inner) == 1:
        return next(iter(inner.values()))
    raise ValueError(
        f"{shown} holds no state dict under {', '.join(TRAINED_KEYS)}. It holds: {', '.join(inner) or 'no tensors'}. "
        "Save the state dict alone."
    )


def _tensors(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {}
    return {str(key): one for key, one in value.items() if hasattr(one, "shape") and not isinstance(one, Mapping)}
