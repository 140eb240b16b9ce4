"""What is known of an exported file: from the file, from the certificate beside it, or stated by whoever opens it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kattn.export.proof.report import sha256_of, size_of
from kattn.export.proof.staging import LABELS
from kattn.facts.description import CERTIFICATE, DEFAULT, FILE, SCORES, UNKNOWN, Description, Fact, Input, Output
from kattn.facts.recorded import are_probabilities, missing_preprocess, stated_in
from kattn.facts.stated import BYTES, INTERPOLATION, RESIZE, Stated, read_labels
from kattn.facts.stating import with_stated
from kattn.reading import read_json

if TYPE_CHECKING:
    from kattn.export.proof.runner import Runner


def describe_artefact(runner: Runner, stated: Stated | None = None) -> Description:
    """What an exported file takes and gives: shapes and types as its runtime reads them, the rest as it is recorded.

    Args:
        runner: Of the file.
        stated: What the caller states, which counts first.

    Raises: ValueError for a stated output, kind or number of labels that does not fit.
    """
    inputs = {name: _input(runner, name, shape) for name, shape in runner.inputs.items()}
    outputs = {name: Output(name, runner.output_shapes.get(name, ()), Fact()) for name in runner.outputs}
    found = Description(runner.path.name, runner.format, inputs, outputs)
    record, origin = runner.recorded(), FILE
    if not record:
        record, origin = certified(runner.path), CERTIFICATE
    labels = runner.path.with_name(f"{runner.path.name}{LABELS}")
    said = stated_in(record)
    if not said.labels and labels.is_file():
        said = replace(said, labels=read_labels(labels))
    kinds = said.kinds_of(outputs)
    said = replace(said, kinds={name: kind for name, kind in kinds.items() if name in outputs})
    found = with_stated(found, said, origin)
    given_scores = {
        name: replace(one, activated=are_probabilities(record, name) if one.kind.value in SCORES else None)
        for name, one in found.outputs.items()
    }
    found = replace(found, outputs=given_scores)
    if stated:
        found = with_stated(found, stated)
    given = {
        name: replace(one, preprocess=missing_preprocess(record, one)) if len(one.shape.value) == 3 else one
        for name, one in found.inputs.items()
    }
    return replace(found, inputs=given)


def _input(runner: Runner, name: str, shape: tuple[int | None, ...]) -> Input:
    dtype = runner.dtypes.get(name, "float32")
    return Input(
        name=name,
        shape=Fact(shape, FILE),
        dtype=Fact(dtype, FILE),
        value_range=Fact(BYTES, FILE, "type uint8") if dtype == "uint8" and not runner.quantised else UNKNOWN,
        resize=Fact(RESIZE, DEFAULT),
        interpolation=Fact(INTERPOLATION, DEFAULT),
    )


def certified(path: Path) -> dict[str, Any]:
    """What the certificate beside an artefact says of the model; nothing without one, or with that of another file."""
    try:
        content = read_json(path.with_name(f"{path.name}.json"))
    except (OSError, ValueError):
        return {}
    same = content.get("bytes") == size_of(path) and content.get("sha256") == sha256_of(path)
    facts = content.get("facts")
    return facts if same and isinstance(facts, dict) else {}
