"""The results of a search: a table, a picture, and the configuration of the best network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kattn.files import write_csv, write_json
from kattn.reading import Unreadable, read_json
from kattn.tuning.costs import COSTS
from kattn.tuning.plan import SETTINGS, Plan
from kattn.tuning.records import TRIAL, SearchError, read_record
from kattn.tuning.space import written

TRIALS, REJECTED, BEST, PICTURE = "trials.csv", "rejected.csv", "best.json", "pareto.png"
# Of best.json: the arguments of kattn.train, and what each of them is.
BEST_FIELDS: dict[str, tuple[type, ...]] = {
    "model": (str,),
    "options": (dict,),
    "recipe": (dict,),
    "data": (str, type(None)),
    "seed": (int,),
    "image_size": (int, list, type(None)),
    "validation": (int, float),
    "data_dir": (str, type(None)),
}


@dataclass(frozen=True)
class Search:
    """A finished search.

    Attributes:
        path: Its folder.
        best: As in best.json: model, options, recipe and data of the best trial, for `kattn train --from`.
        trials: One mapping a trial, as in trials.csv.
        rejected: One mapping a network that was over budget, as in rejected.csv.
    """

    path: Path
    best: dict[str, Any]
    trials: list[dict[str, Any]]
    rejected: list[dict[str, Any]]

    @property
    def front(self) -> list[dict[str, Any]]:
        """The Pareto front: the trials that no other trial beats in accuracy and cost together."""
        return [row for row in self.trials if row["front"]]

    def __str__(self) -> str:
        names = list(self.trials[0])
        names.remove("model")
        ranked = sorted(self.trials, key=lambda row: -row["score"])
        rows = [names, *([_cell(row[name]) for name in names] for row in ranked)]
        widths = [max(len(row[i]) for row in rows) for i in range(len(names))]
        table = ["  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)) for row in rows]
        rejected = f"{len(self.rejected)} over budget ({REJECTED})\n" if self.rejected else ""
        return "\n".join(table) + f"\n{rejected}best: trial {self.best['trial']}; kattn train --from {self.path / BEST}"


def collect(plan: Plan, *, write: bool = True) -> Search:
    """Read the trials, and write the results where `write` is true: in one of several processes.

    Raises: SearchError where there is no trial, or all trials diverged.
    """
    records = read_trials(plan.trials)
    whole = [name for name, record in records.items() if record["status"] == "completed"]
    if not records:
        raise plan.nothing_fits()
    if not whole:
        raise SearchError(f"All {len(records)} trials diverged. Usual remedies: a lower learning_rate, warmup_epochs.")
    costs = plan.costs.wanted
    rows = []
    for name, record in records.items():
        score = plan.costs.score(record["accuracy"], record["costs"])
        rows.append(
            {"trial": name, "status": record["status"], "score": score, "accuracy": record["accuracy"]}
            | {"epochs": record["epochs"]}
            | {key: record["values"].get(key) for key in plan.space.choices}
            | {key: record["costs"][key] for key in costs}
            | {"front": False, "model": record["model"]}
        )
    against = plan.costs.weighed or ["parameters"]
    finished = [row for row in rows if row["trial"] in whole]
    for row, on_front in zip(finished, front([_merits(row, against) for row in finished]), strict=True):
        row["front"] = on_front
    # Of equal scores the cheaper one, then the earlier one: the choice does not depend on which worker came first.
    winner = min(finished, key=lambda row: (-row["score"], *(row[cost] for cost in against), row["trial"]))
    best = _best(plan, winner, records[winner["trial"]])
    rejected = [
        {"model": one["model"]}
        | {key: one["values"].get(key) for key in plan.space.choices if not key.startswith("recipe.")}
        | {key: one["costs"].get(key) for key in costs}
        | {"over": " ".join(one["over"])}
        for one in plan.costs.rejected()
    ]
    if write:
        _write_csv(plan.path / TRIALS, rows)
        _write_csv(plan.path / REJECTED, rejected)
        draw_front(plan.path / PICTURE, rows, against[0], f"{plan.settings.model} on {plan.dataset.name}")
        write_json(plan.path / BEST, best)
    return Search(plan.path, best, rows, rejected)


def read_trials(folder: Path) -> dict[str, dict[str, Any]]:
    """The records of the trials that are over, by name, in order. Raises: SearchError for a damaged one."""
    files = sorted(folder.glob("*/trial.json"))
    return {file.parent.name: read_record(file, TRIAL) for file in files}


def front(points: Sequence[Sequence[float]]) -> list[bool]:
    """For each point whether no other point is at least as high in all coordinates and higher in one."""

    def beats(one: Sequence[float], other: Sequence[float]) -> bool:
        pairs = list(zip(one, other, strict=True))
        return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)

    return [not any(beats(other, point) for other in points) for point in points]


def read_best(path: str | Path) -> dict[str, Any]:
    """The arguments of kattn.train that a best.json holds.

    Args:
        path: The file, or the search's folder.

    Returns: model, options, recipe, data, seed, image_size, validation and data_dir.
    Raises: ValueError for another file.
    """
    file = Path(path) / BEST if Path(path).is_dir() else Path(path)
    takes = "--from takes the best.json of kattn tune."
    try:
        content = read_json(file)
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror}. {takes}") from error
    except Unreadable as error:
        raise ValueError(f"{file} {error}. {takes}") from error
    if missing := [name for name in BEST_FIELDS if name not in content]:
        raise ValueError(f"{file} has no {', '.join(missing)}. {takes}")
    for name, kinds in BEST_FIELDS.items():
        if not isinstance(content[name], kinds) or isinstance(content[name], bool):
            raise ValueError(f"{file} is damaged: {name} is {content[name]!r:.60}. {takes}")
    size = content["image_size"]
    return {name: content[name] for name in BEST_FIELDS} | {
        "image_size": tuple(size) if isinstance(size, list) else size
    }


def draw_front(path: Path, rows: Sequence[Mapping[str, Any]], cost: str, title: str) -> None:
    """Write a picture of accuracy against a cost, with the front."""
    from kattn.explain.drawing.pictures import new_figure, save_figure  # imports Keras
    from kattn.explain.drawing.text import label

    figure = new_figure(7, 4.5)
    axes = figure.add_subplot()
    for status, colour in (("completed", "tab:blue"), ("pruned", "lightgrey"), ("diverged", "tab:red")):
        chosen = [row for row in rows if row["status"] == status]
        if not chosen:
            continue
        axes.scatter([row[cost] for row in chosen], [row["accuracy"] for row in chosen], color=colour, label=status)
    best = sorted((row[cost], row["accuracy"]) for row in rows if row["front"])
    line: dict[str, Any] = {"drawstyle": "steps-post", "marker": "o", "markersize": 11, "markerfacecolor": "none"}
    axes.plot(*zip(*best, strict=True), color="tab:orange", label="front", zorder=0, **line)
    axes.set(xlabel=cost, ylabel="validation accuracy", title=label(title))
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    save_figure(figure, path)


def _best(plan: Plan, row: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of kattn.train, without the limit, which only makes the search cheaper; and how the trial did."""
    settings = plan.settings
    return {
        "model": record["model"],
        "options": record["options"],
        "recipe": record["recipe"],
        "data": settings.data,
        "seed": settings.seed,
        "image_size": settings.image_size,
        "validation": settings.validation,
        "data_dir": settings.data_dir,
        "trial": row["trial"],
        "values": record["values"],
        "score": row["score"],
        "validation_accuracy": record["accuracy"],
        "costs": {name: row[name] for name in COSTS if name in row},
        "searched": {"limit": settings.limit, "settings": SETTINGS},
    }


def _merits(row: Mapping[str, Any], costs: Sequence[str]) -> tuple[float, ...]:
    return (row["accuracy"], *(-row[cost] for cost in costs))


def _write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    texts = [{key: "" if value is None else written(value) for key, value in row.items()} for row in rows]
    write_csv(path, texts, () if rows else ["model"])


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else written(value)
