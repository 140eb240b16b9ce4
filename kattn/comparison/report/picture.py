"""The picture of a comparison: every seed, means and intervals; differences; the measure against cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kattn.explain.drawing.pictures import new_figure
from kattn.explain.drawing.text import label

if TYPE_CHECKING:
    from kattn.comparison.results import Comparison

FIRST, OTHERS = "black", "tab:blue"


def draw(found: Comparison, data: str) -> Any:
    """A matplotlib figure of three panels."""
    rows, measure = found.models, found.measure
    scale = 100 if measure.share else 1
    figure = new_figure(14, 1.9 + 0.36 * max(len(rows), 5))
    values, differences, cost = figure.subplots(1, 3, width_ratios=[1.15, 1, 1])
    places = range(len(rows))
    titles = [f"{label(row.model)}  {i + 1}" for i, row in enumerate(rows)]
    finished: list[Any] = [run for run in found.runs if run.value is not None]
    first = {run.seed: run.value for run in finished if run.model == rows[0].model}
    for i, row in enumerate(rows):
        colour = OTHERS if i else FIRST
        own = [run for run in finished if run.model == row.model]
        points = [scale * run.value for run in own]
        _points(values, points, i, colour)
        _mean(values, row.mean, row.low, row.high, i, colour, scale)
        if not own:
            values.text(0.02, i, "no finished run", transform=values.get_yaxis_transform(), va="center", fontsize=8)
        if i:
            pairs = [
                scale * (run.value - first[run.seed]) for run in own if run.seed in first and run.value is not None
            ]
            _points(differences, pairs, i, colour)
            _mean(differences, row.difference, row.difference_low, row.difference_high, i, colour, scale)
        if row.mean is not None:
            cost.plot(row.macs / 1e6, scale * row.mean, "o", color=colour, markersize=5)
            for point in points:
                cost.plot(row.macs / 1e6, point, ".", color=colour, markersize=3, alpha=0.5)
            cost.annotate(str(i + 1), (row.macs / 1e6, scale * row.mean), xytext=(5, 3), textcoords="offset points")
    values.set_yticks(places, titles)
    differences.set_yticks(places, [str(i + 1) for i in places])
    differences.axvline(0, color="black", linewidth=0.8)
    unit = measure.unit.strip()
    title = f"{measure.title}{', ' + unit if unit else ''}"
    for axes in (values, differences):
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
    values.set(xlabel=f"{title}: a dot a seed, the mean, its {found.confidence:.0%} interval")
    differences.set(xlabel=f"difference to 1, seed by seed{', points' if measure.share else ''}")
    cost.set(xlabel="million MACs", ylabel=title)
    cost.margins(0.12)
    left, right = cost.get_xlim()  # networks of nearly the same cost are not drawn as if they were far apart
    cost.set_xlim(left - max(0.0, 0.1 * right - (right - left)) / 2, right + max(0.0, 0.1 * right - (right - left)) / 2)
    values.set_title(label(data), loc="left", fontsize=10)
    for axes in (values, differences, cost):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _points(axes: Any, values: list[float], place: int, colour: str) -> None:
    axes.plot(values, [place] * len(values), "o", color=colour, alpha=0.45, markersize=4.5)


def _mean(
    axes: Any, mean: float | None, low: float | None, high: float | None, place: int, colour: str, scale: int
) -> None:
    if mean is None:
        return
    axes.plot(scale * mean, place, "|", color=colour, markersize=14, markeredgewidth=2)
    if low is not None and high is not None:
        axes.plot([scale * low, scale * high], [place, place], color=colour, linewidth=1.4)
