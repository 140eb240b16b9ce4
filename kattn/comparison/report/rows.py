"""The tables of a comparison: a row a run, a row a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kattn.comparison.intervals import spread


@dataclass(frozen=True)
class Measure:
    """What models are compared by.

    Attributes:
        key: Its name among the metrics of an evaluation.
        title: For people.
        share: A share between 0 and 1, shown in percent.
        lower: A lower value is better, as of an error.
    """

    key: str
    title: str
    share: bool = True
    lower: bool = False

    def shown(self, value: float | None, digits: int = 2) -> str:
        """A value for people."""
        if value is None:
            return ""
        return f"{100 * value:.{digits}f}" if self.share else f"{value:.4g}"

    def difference(self, value: float | None) -> str:
        """A difference for people, in points where values are shares."""
        if value is None:
            return ""
        return f"{100 * value:+.2f}" if self.share else f"{value:+.4g}"

    @property
    def unit(self) -> str:
        """Behind a value."""
        return " %" if self.share else ""

    @property
    def units(self) -> str:
        """Behind a difference."""
        return " points" if self.share else ""


# The first one that an evaluation has: classes, maps of classes, yes or no and attributes, values.
MEASURES = (
    Measure("top1", "accuracy"),
    Measure("mean_iou", "mean IoU"),
    Measure("accuracy", "accuracy"),
    Measure("mae", "mean absolute error", share=False, lower=True),
)


def measure_of(metrics: Mapping[str, Any]) -> Measure:
    """What the models of these metrics are compared by."""
    return next(each for each in MEASURES if each.key in metrics)


@dataclass(frozen=True)
class RunRow:
    """One run.

    Attributes:
        model, seed: Which one.
        status: "finished", "diverged", "failed", or "" where it is not over.
        epochs: That it ran for.
        value: Of the measure, on the test images; None where it did not finish.
        loss, calibration_error: Of the evaluation, where it has them.
        artefacts: By "format:precision" the value of the exported file; None where the export was refused.
        why: Of a run that diverged or failed; of refused exports.
    """

    model: str
    seed: int
    status: str
    epochs: int
    value: float | None
    loss: float | None
    calibration_error: float | None
    artefacts: dict[str, float | None]
    why: str

    def flat(self, measure: Measure) -> dict[str, Any]:
        """As runs.csv has it."""
        row = asdict(self)
        files = row.pop("artefacts")
        row = {measure.key if key == "value" else key: value for key, value in row.items()}
        return {key: "" if value is None else value for key, value in {**row, **files}.items()}


@dataclass(frozen=True)
class ModelRow:
    """One model, over its seeds.

    Attributes:
        model: Its label.
        runs, diverged: Seeds with a value; seeds that diverged.
        mean, deviation, low, high: Of the measure: mean, sample standard deviation, interval of the mean.
        pairs: Seeds that this model and the first one finished.
        difference, difference_deviation, difference_low, difference_high: This model minus the first one, seed by
            seed: mean, standard deviation, interval. None for the first model itself.
        parameters, macs: Of the network, for one image.
        artefacts: By "format:precision" the mean of the exported files; None where one is missing.
    """

    model: str
    runs: int
    diverged: int
    mean: float | None
    deviation: float | None
    low: float | None
    high: float | None
    pairs: int
    difference: float | None
    difference_deviation: float | None
    difference_low: float | None
    difference_high: float | None
    parameters: int
    macs: int
    artefacts: dict[str, float | None]

    def flat(self) -> dict[str, Any]:
        """As comparison.csv has it."""
        row = asdict(self)
        files = row.pop("artefacts")
        return {key: "" if value is None else value for key, value in {**row, **files}.items()}


def model_rows(
    runs: Sequence[RunRow],
    costs: Mapping[str, Mapping[str, int]],
    models: Sequence[str],
    export: Sequence[str],
    confidence: float,
) -> list[ModelRow]:
    """A row a model, each compared with the first one seed by seed."""
    values = {
        label: {row.seed: row.value for row in runs if row.model == label and row.value is not None} for label in models
    }
    first = values[models[0]]
    found = []
    for label in models:
        own = values[label]
        pairs = [own[seed] - first[seed] for seed in own if seed in first] if label != models[0] else []
        mean, difference = spread(list(own.values()), confidence), spread(pairs, confidence)
        rows = [row for row in runs if row.model == label]
        finished = [row for row in rows if row.value is not None]
        artefacts = {}
        for each in export:
            files = [value for row in finished if (value := row.artefacts.get(each)) is not None]
            artefacts[each] = spread(files, confidence).mean if len(files) == len(finished) else None
        found.append(
            ModelRow(
                label,
                mean.count,
                sum(row.status == "diverged" for row in rows),
                mean.mean,
                mean.deviation,
                mean.low,
                mean.high,
                difference.count,
                difference.mean,
                difference.deviation,
                difference.low,
                difference.high,
                costs[label]["parameters"],
                costs[label]["macs"],
                artefacts,
            )
        )
    return found
