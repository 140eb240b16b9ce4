"""The certificate of an export: what the artefact holds, how it was checked and how far it is from the model."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kattn.files import write_text
from kattn.reading import Unreadable, read_json


@dataclass(frozen=True)
class Difference:
    """How far one output of an artefact is from the model's on the images compared.

    Attributes:
        max_abs: Largest absolute difference.
        mean_abs: Mean absolute difference.
        max_relative: Largest absolute difference over max(1, largest absolute value of the model's output); for
            probabilities this is `max_abs`.
        top1_agreement: Share of images with the same highest class; None where the output is no vector of classes.
        confident_agreement: The same over images whose two highest classes the model separates by more than 0.1; None
            where there is no such image.
    """

    max_abs: float
    mean_abs: float
    max_relative: float
    top1_agreement: float | None
    confident_agreement: float | None


@dataclass(frozen=True)
class Contents:
    """What an exporter tells of the artefact that it wrote: see the attributes of `Report` with the same names.

    Attributes:
        packages: That made and run it, beside those of every export.
        find_layers: Gives `layers` where they are wanted only if the artefact is refused.
    """

    ops: dict[str, int]
    inputs: dict[str, dict[str, Any]]
    outputs: dict[str, dict[str, Any]]
    checks: dict[str, str]
    warnings: Sequence[str] = ()
    layers: Sequence[dict[str, Any]] = ()
    delegates: dict[str, Any] = field(default_factory=dict)
    packages: Sequence[str] = ()
    find_layers: Callable[[], Sequence[dict[str, Any]]] | None = None


@dataclass
class Report:
    """What an export returns and writes beside the artefact as `<file>.json`.

    Attributes:
        path: The artefact.
        format: "saved_model", "tflite" or "onnx".
        precision: "float32", "float16", "dynamic", "int8", "int16".
        bytes: Size of the artefact with every file of it.
        sha256: Of the file; of a folder, of the sorted lines "<sha256>  <relative path>" of its files.
        inputs, outputs: Name to shape, type and, where quantised, scale and zero point. Outputs also have their "kind",
            the "measure" that they were judged by, its "value" and "limit", and all "measures" (`proof.kinds`).
        differences: Output name to `Difference` against the Keras model in float32.
        max_abs_diff, mean_abs_diff: Largest over the outputs.
        top1_agreement: The prediction's share of images with the same highest class; None where it has no classes.
        images: Number of images compared, and where they came from.
        tolerance: Largest relative difference that was allowed; None where only agreement was checked.
        ops: Histogram of the artefact's operators.
        checks: Name of each check passed, to what was found.
        warnings: What does not make the artefact wrong and is worth knowing; first of all why it is not proven.
        layers: int8: where the error starts and the operators that add most to it (`proof.worst_layers`).
        delegates: Accelerator to whether it takes the graph, and the operators and layers it leaves to the processor.
        versions: Of the packages that made and ran it, of Python and of the machine.
        seconds: The export took.
        facts: What is known of the model: value range, resizing, labels, kinds of outputs, each with its origin.
        proven: Every output was judged, on images that tell a right artefact from a wrong one.
        model: Name of the exported model.
        blocks: Layers of the model that are not Keras's own, such as its attention: registered name to how many.
    """

    path: str
    format: str
    precision: str
    bytes: int
    sha256: str
    inputs: dict[str, dict[str, Any]]
    outputs: dict[str, dict[str, Any]]
    differences: dict[str, Difference]
    max_abs_diff: float
    mean_abs_diff: float
    top1_agreement: float | None
    images: str
    tolerance: float | None
    ops: dict[str, int]
    checks: dict[str, str]
    warnings: list[str] = field(default_factory=list)
    layers: list[dict[str, Any]] = field(default_factory=list)
    delegates: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)
    proven: bool = True
    model: str = ""
    blocks: dict[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists and numbers."""
        return dataclasses.asdict(self)

    def write(self, path: str | Path) -> None:
        """Write the report as JSON."""
        write_text(path, json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n")

    @classmethod
    def read(cls, path: str | Path) -> Report:
        """A report from its JSON file. Raises: OSError; ValueError for a file that is no report."""
        try:
            values = read_json(Path(path))
            values["differences"] = {name: Difference(**d) for name, d in values["differences"].items()}
            report = cls(**values)
            described = [*report.inputs.values(), *report.outputs.values()]
            if not all(isinstance(one, dict) and isinstance(one.get("shape"), list) for one in described):
                raise TypeError("an input or output has no shape")
            return report
        except Unreadable as error:
            raise ValueError(f"{path} {error}.") from None
        except (AttributeError, LookupError, TypeError) as error:
            raise ValueError(f"{path} is no report of an export: {error}.") from None

    def __str__(self) -> str:
        lines = [f"{self.path}: {self.format} {self.precision}, {self.bytes:,} bytes, {sum(self.ops.values())} ops"]
        agreement = "" if self.top1_agreement is None else f", top-1 agreement {self.top1_agreement:.4f}"
        compared = f"largest difference {self.max_abs_diff:.3g}, mean {self.mean_abs_diff:.3g}"
        if self.proven:
            lines.append(f"  {compared}{agreement} ({self.images})")
            warnings = self.warnings
        else:
            lines.insert(0, f"warning: {self.path} is not proven: {self.warnings[0]}")
            lines.append(f"  {compared} ({self.images}), which proves nothing")
            warnings = self.warnings[1:]
        if self.blocks:
            lines.append(f"  of {self.model}: {', '.join(f'{count} {name}' for name, count in self.blocks.items())}")
        lines += [f"  ok: {name}: {found}" for name, found in self.checks.items()]
        return "\n".join([*lines, *(f"  note: {warning}" for warning in warnings)])


def artefact_files(path: Path) -> list[Path]:
    """Every file of an artefact: of a SavedModel folder all, of an .onnx file also its external data."""
    if path.is_dir():
        return sorted(p for p in path.rglob("*") if p.is_file())
    return [p for p in (path, path.with_name(path.name + ".data")) if p.is_file()]


def size_of(path: Path) -> int:
    """Bytes of an artefact."""
    return sum(file.stat().st_size for file in artefact_files(path))


def sha256_of(path: Path) -> str:
    """Checksum of an artefact: of a file its own, of a folder that of the sorted lines "<sha256>  <relative path>"."""
    if not path.is_dir():
        return _file_sha256(path)
    lines = [f"{_file_sha256(file)}  {file.relative_to(path).as_posix()}\n" for file in artefact_files(path)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def summarise(differences: Mapping[str, Difference]) -> dict[str, Any]:
    """The report's headline figures: worst difference over the outputs, agreement of the prediction."""
    main = differences.get("predictions") or next(iter(differences.values()))
    return {
        "max_abs_diff": max(d.max_abs for d in differences.values()),
        "mean_abs_diff": max(d.mean_abs for d in differences.values()),
        "top1_agreement": main.top1_agreement,
    }


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
