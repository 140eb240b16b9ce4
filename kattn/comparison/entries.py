"""The models of a comparison, as they are given: names with options, `.keras` files, functional models."""

from __future__ import annotations

import ast
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kattn.training.settings import as_json

MODELS = "models"  # folder of the functional models, inside the comparison's


@dataclass(frozen=True)
class Entry:
    """One model of a comparison.

    Attributes:
        label: What tables call it.
        model: A name of the zoo; of a functional model the name of its file in the comparison's folder.
        options: Of a name of the zoo.
        digest: Of a functional model: of its architecture and weights.
    """

    label: str
    model: str
    options: dict[str, Any] = field(default_factory=dict)
    digest: str = ""

    @property
    def slug(self) -> str:
        """The label as a part of file names."""
        return re.sub(r"[^\w.]+", "_", self.label).strip("_")


def entries_of(
    models: Any, options: Mapping[str, Any] | None, weights: str | Path | None
) -> tuple[list[Entry], dict[str, Any]]:
    """The models of a comparison.

    Args:
        models: Names ("se_resnet20"), names with options ("se_resnet20:reduction=8,stages=(2,3)" or ("se_resnet20",
            {"reduction": 8})), `.keras` files and functional models.
        options: Of every name, where it has none of its own.
        weights: What every name starts from, where its options do not say it.

    Returns: The entries, and the functional models by label.
    Raises: ValueError for what is no model, two models of one label, and weights for a functional model.
    """
    if isinstance(models, str | Path) or not isinstance(models, Sequence) or not models:
        raise ValueError(f"models is a list of at least one model. Received: {models!r}")
    common = {**(options or {}), **({} if weights is None else {"weights": str(weights)})}
    entries: list[Entry] = []
    given: dict[str, Any] = {}
    for model in models:
        if isinstance(model, tuple) and len(model) == 2 and isinstance(model[1], Mapping):
            entry = _named(model[0], dict(model[1]), common)
        elif isinstance(model, str) and not model.endswith(".keras"):
            entry = _named(*parse(model), common)
        else:
            entry, network = _functional(model)
            given[entry.label] = network
            if weights is not None:
                raise ValueError(f"weights goes with names of the zoo; {entry.label} has weights of its own.")
        entries.append(entry)
    for name in ("label", "slug"):
        said = [getattr(entry, name) for entry in entries]
        if double := sorted({one for one in said if said.count(one) > 1}):
            raise ValueError(f"Each model once, by a name of its own. Twice: {', '.join(double)}")
    return entries, given


def parse(text: str) -> tuple[str, dict[str, Any]]:
    """Name and options in "name:option=value,option=value". Raises: ValueError for what cannot be read so."""
    name, _, rest = text.partition(":")
    pairs = [part.partition("=") for part in re.split(r",(?=\w+=)", rest) if part]
    if bad := [key for key, equals, _ in pairs if not equals or not key.isidentifier()]:
        raise ValueError(
            "Options are name:option=value,option=value, such as se_resnet20:reduction=8. "
            f"Received: {text!r}, where {bad[0]!r} has no value"
        )
    return name, {key: _value(value) for key, _, value in pairs}


def _value(text: str) -> Any:
    """A Python literal where the text is one, else the text."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _named(name: Any, own: dict[str, Any], common: Mapping[str, Any]) -> Entry:
    if not isinstance(name, str):
        raise ValueError(f"Options go with a name of the zoo, not with {type(name).__name__}.")
    attention = common.get("attention", own.get("attention"))
    given = attention if isinstance(attention, tuple | list) else [attention]
    if not all(isinstance(one, str | None) for one in given):
        raise ValueError(
            f"{name}: the runs of a comparison are of other processes, which know attention by its name. Register it: "
            'kattn.zoo.register("mygate", MyGate) in a file, compare "mygate_resnet20", and give imports=["that file"] '
            "(--import)."
        )
    said = ", ".join(f"{key}={value}" for key, value in own.items())
    options = {**common, **own}
    if Path(str(options.get("weights") or "")).expanduser().is_file():  # a worker may run elsewhere
        options["weights"] = os.path.abspath(Path(options["weights"]).expanduser())
    return Entry(f"{name} ({said})" if own else name, name, as_json(options))


def _functional(model: Any) -> tuple[Entry, Any]:
    import keras

    if isinstance(model, str | Path):
        from kattn.runs.opening import load_keras

        network, label = load_keras(Path(model).expanduser()), Path(model).stem
    else:
        network, label = model, getattr(model, "name", "")
    if not isinstance(network, keras.Model) or not getattr(network, "inputs", None):
        raise ValueError(
            "A model is a name of the zoo, (name, options), a .keras file or a functional Keras model. Received: "
            f"{type(model).__name__}"
        )
    entry = Entry(label, "", digest=_digest(network))
    return replace(entry, model=f"{MODELS}/{entry.slug}.keras"), network


def _digest(network: Any) -> str:
    """Of a model's architecture and weights, whatever its layers are called: Keras counts names on in a process."""
    from kattn.graph.inside import all_layers

    text = network.to_json()
    for number, layer in enumerate([network, *all_layers(network)]):
        text = text.replace(f'"{layer.name}"', f'"{number}"')
    digest = hashlib.sha256(text.encode())
    for value in network.get_weights():
        digest.update(value.tobytes())
    return digest.hexdigest()[:16]
