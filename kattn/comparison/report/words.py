"""What a comparison allows to say, in sentences. No model is called better where its interval does not say so."""

from __future__ import annotations

from collections.abc import Sequence

from kattn.comparison.report.rows import Measure, ModelRow

SAME, HIGHER, LOWER, UNKNOWN = "same", "higher", "lower", "unknown"


def verdict(row: ModelRow) -> str:
    """What the interval of the difference says: "higher", "lower", "same" (0 is inside), "unknown" (none)."""
    if row.difference_low is None or row.difference_high is None:
        return UNKNOWN
    return HIGHER if row.difference_low > 0 else LOWER if row.difference_high < 0 else SAME


def sentence(row: ModelRow, first: ModelRow, measure: Measure, confidence: float) -> str:
    """One sentence on a model against the first one."""
    name, plain = row.model, first.model
    if not row.runs or not first.runs:
        none = name if not row.runs else plain
        return f"{name}: no comparison with {plain}, because {none} has no finished run."
    if not row.pairs:
        return f"{name}: no seed was finished by both this model and {plain}: there is no difference to look at."
    mean = f"{measure.difference(row.difference)}{measure.units}"
    if row.pairs == 1:
        return (
            f"{name}: {mean} against {plain} with one seed. One seed has no spread: the difference may be chance. "
            "seeds=3 or more gives an interval."
        )
    over = f"over {row.pairs} seeds"
    if row.difference_low is None:
        return f"{name}: {mean} against {plain} with every one of {row.pairs} seeds: without a spread, no interval."
    reach = f"{measure.difference(row.difference_low)} to {measure.difference(row.difference_high)}"
    interval = f"{confidence:.0%} interval {reach}{measure.units} {over}"
    said = verdict(row)
    if said == SAME:
        return f"{name}: no difference from {plain} seen at this budget ({mean}; {interval})."
    meaning = (" (worse)" if said == HIGHER else " (better)") if measure.lower else ""
    return f"{name}: {measure.title} {said} than {plain}{meaning}, by {mean} ({interval})."


def sentences(
    rows: Sequence[ModelRow], measure: Measure, confidence: float, seeds: Sequence[int], left: int
) -> list[str]:
    """All that a comparison says, and what it does not say.

    Args:
        rows: The models, the first one first.
        measure: What they are compared by.
        confidence: Of the intervals.
        seeds: All that are asked for.
        left: Runs that are not over.
    """
    first, *others = rows
    found = [f"Not finished: {left} of {len(rows) * len(seeds)} runs are left."] if left else []
    if not others:
        found.append(f"One model: {first.model} is compared with nothing. Its mean and spread stand in the table.")
    found += [sentence(row, first, measure, confidence) for row in others]
    for row in rows:
        if row.diverged:
            others_left = "; means and differences are of the other seeds, and flatter it" if row.runs else ""
            found.append(f"{row.model} diverged with {row.diverged} of {len(seeds)} seeds{others_left}.")
    if first.runs == 1 and not others:
        found.append("One seed: there is no spread and no interval. seeds=3 or more gives both.")
    intervals = sum(verdict(row) != UNKNOWN for row in others)
    if intervals > 1:
        expected = intervals * (1 - confidence)
        found.append(
            f"Of {intervals} intervals of {confidence:.0%}, {expected:.2g} miss their true value by chance on average."
        )
    return found


def scope(seeds: int) -> str:
    """What the intervals are about."""
    wide = f"{seeds} seeds give wide intervals. " if 1 < seeds < 5 else ""
    return (
        "All models had the same recipe, images, order of images for the same seed, and number of steps. A difference "
        "is taken seed by seed, this model minus the first one. The interval (Student's t) is about other seeds of the "
        "same training on the same images: not about longer training, other recipes, or other data. "
        f'{wide}"No difference seen" does not say that there is none.'
    )
