"""What is recorded of a model in run folders, weights files, certificates and exported files, and read from there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kattn.facts.description import UNKNOWN, Description, Fact, Input, name_of
from kattn.facts.stated import Stated

FIELDS = ("value_range", "resize", "interpolation", "labels", "kinds")


def record_of(found: Description) -> dict[str, Any]:
    """What is known of a model, as JSON holds it: a value a fact, and under "origins" where each comes from."""
    images = [one for one in found.inputs.values() if len(one.shape.value or ()) == 3 or len(found.inputs) == 1]
    labels = next((one.labels for one in found.outputs.values() if one.labels.known), UNKNOWN)
    facts: dict[str, Fact] = {"labels": labels}
    for one in images[:1]:
        facts |= {name: getattr(one, name) for name in ("value_range", "preprocess", "resize", "interpolation")}
    record: dict[str, Any] = {name: _plain(fact.value) for name, fact in facts.items() if fact.known}
    record["kinds"] = {name: output.kind.value for name, output in found.outputs.items()}
    scores = [name for name, output in found.outputs.items() if output.activated is False]
    record |= {"scores": scores} if scores else {}
    record["origins"] = {
        **{name: _origin(fact) for name, fact in facts.items() if fact.known},
        **{name: _origin(output.kind) for name, output in found.outputs.items()},
    }
    return record


def stated_in(record: Any) -> Stated:
    """What a record states. A record that is damaged, or of another program, states nothing.

    Labels are names here, never the path of a file: a record may come from anyone.
    """
    if not isinstance(record, Mapping):
        return Stated()
    given = {name: record[name] for name in FIELDS if record.get(name)}
    kinds = given.get("kinds", "")
    texts = kinds.values() if isinstance(kinds, Mapping) else [kinds]
    if not isinstance(given.get("labels", []), (list, tuple)) or not all(isinstance(kind, str) for kind in texts):
        return Stated()
    try:
        return Stated(**given)
    except (TypeError, ValueError, AttributeError):
        return Stated()


def are_probabilities(record: Any, output: str) -> bool:
    """Whether an output of classes gives probabilities, and not the scores in front of softmax or sigmoid."""
    scores = record.get("scores", ()) if isinstance(record, Mapping) else ()
    return not (isinstance(scores, (list, tuple)) and output in scores)


def missing_preprocess(record: Any, given: Input) -> Fact:
    """The fact that a model's images went through a function, which is recorded by its name and has to be given."""
    name = record.get("preprocess") if isinstance(record, Mapping) else None
    if given.preprocess.known or given.value_range.known or not isinstance(name, str):
        return given.preprocess
    return Fact(None, "", f"its images went through {name}: pass it as preprocess=")


def as_texts(record: Mapping[str, Any]) -> dict[str, str]:
    """A record as texts by name, for the metadata of a file: labels and the like as JSON, one word as it is."""
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in record.items()
        if name != "origins"
    }


def from_texts(texts: Mapping[str, str]) -> dict[str, Any]:
    """The record that `as_texts` made texts of; what cannot be read is left out."""
    record: dict[str, Any] = {}
    for name in (*FIELDS, "preprocess", "scores"):
        if name in texts:
            try:
                record[name] = json.loads(texts[name])
            except (ValueError, RecursionError):
                record[name] = texts[name]
    return record


def _plain(value: Any) -> Any:
    return name_of(value) if callable(value) else list(value) if isinstance(value, tuple) else value


def _origin(fact: Fact) -> str:
    return f"{fact.origin}: {fact.detail}" if fact.detail else fact.origin
