"""What the candidates of a search cost: known before training, measured once, kept in costs.json."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kattn.data.dataset import Dataset
from kattn.files import make_folder, write_json
from kattn.tuning.records import SearchError, read_record
from kattn.tuning.space import Candidate

COSTS = ("parameters", "macs", "int8_bytes", "latency_ms")  # the quickly measured ones first
ALWAYS = ("parameters", "macs")
FILE = "costs.json"
EXPONENT = -0.07  # MnasNet, arXiv:1807.11626: twice the cost for about 5 % more accuracy is an even trade
CALIBRATION = 64  # images
TIMED = 500.0  # milliseconds of calls whose median is the latency


class Costs:
    """The costs of candidates, which of them are over budget, and the score.

    Args:
        folder: The search's.
        dataset: Decides the sizes of the networks; its images calibrate.
        budget: {cost: most allowed}.
        objective: "accuracy" and the costs that it is weighed against.
        writes: Whether this process keeps costs.json; of several processes one does.
    """

    def __init__(
        self, folder: Path, dataset: Dataset, budget: Mapping[str, float], objective: Sequence[str], writes: bool
    ) -> None:
        self.file = folder / FILE
        self.dataset = dataset
        self.budget = dict(budget)
        self.weighed = [name for name in objective if name in COSTS]
        self.wanted = [name for name in COSTS if name in (*ALWAYS, *budget, *objective)]
        self.writes = writes
        self.known: dict[str, dict[str, Any]] = {}
        self.reference: dict[str, float] = {}

    def read(self) -> dict[str, dict[str, Any]]:
        """The content of costs.json. Raises: SearchError for a damaged one."""
        found = read_record(self.file) if self.file.is_file() else {}
        for entry in found.values():
            costs = entry.get("costs") if isinstance(entry, dict) else None
            numbers = isinstance(costs, dict) and all(isinstance(cost, int | float) for cost in costs.values())
            if not numbers or not isinstance(entry.get("values"), dict):
                raise SearchError(f"{self.file} is damaged: {entry!r:.60}. overwrite=True starts anew.")
        return found

    def of(self, candidate: Candidate) -> dict[str, float]:
        """The candidate's costs. Once one cost is over budget, the later ones are not measured."""
        self.known = self.known or self.read()
        entry = self.known.get(candidate.network) or self.read().get(candidate.network)
        if entry is None:
            values = {name: value for name, value in candidate.values.items() if not name.startswith("recipe.")}
            entry = {"model": candidate.model, "values": values, "costs": {}}
        missing = [name for name in self.wanted if name not in entry["costs"]]
        if missing and not self.over(entry["costs"]):
            self._measure(candidate, entry["costs"])
            self.known[candidate.network] = entry
            if self.writes:
                make_folder(self.file.parent)
                write_json(self.file, self.known)
        self.known[candidate.network] = entry
        return entry["costs"]

    def over(self, costs: Mapping[str, float]) -> list[str]:
        """Names of the costs that are over budget."""
        return [name for name, most in self.budget.items() if costs.get(name, 0) > most]

    def refer_to(self, first: Candidate) -> None:
        """Fix the costs that others are divided by: the budget, else the space's first candidate. Ranks do not depend
        on them."""
        if self.weighed:
            self.reference = {name: self.budget.get(name) or self.of(first).get(name, 1.0) for name in self.weighed}

    def score(self, accuracy: float, costs: Mapping[str, float]) -> float:
        """Accuracy, times (cost / reference)^-0.07 for each cost that is part of the objective."""
        for name in self.weighed:
            accuracy *= (costs[name] / self.reference[name]) ** EXPONENT
        return accuracy

    def rejected(self) -> list[dict[str, Any]]:
        """The networks that are over budget, as costs.json knows them."""
        return [{**entry, "over": over} for entry in self.read().values() if (over := self.over(entry["costs"]))]

    def _measure(self, candidate: Candidate, costs: dict[str, float]) -> None:
        model = build(candidate.model, candidate.options, self.dataset)
        for name in self.wanted:
            if name not in costs and not self.over(costs):
                found = MEASURES[name](model, self.dataset)
                costs |= {one: value for one, value in found.items() if one in self.wanted}


def build(name: str, options: Mapping[str, Any], dataset: Dataset) -> Any:
    """The network as kattn.train builds it for the data, with the same weights each time.

    Raises: ValueError for options that the model does not take, with the candidate.
    """
    import keras

    from kattn.training.network import build_network

    keras.utils.set_random_seed(0)
    try:
        return build_network(name, options, dataset, "float32")
    except (ValueError, TypeError) as error:
        chosen = ", ".join(f"{key}={value!r}" for key, value in options.items())
        raise ValueError(f"{name} cannot be built with {chosen or 'no options'}: {error}") from error


def _counted(model: Any, dataset: Dataset) -> dict[str, float]:
    from kattn.profiling import profile

    found = profile(model)
    return {"parameters": found.parameters, "macs": found.macs + found.matmul_macs}


def _exported(model: Any, dataset: Dataset) -> dict[str, float]:
    """Size and latency of the int8 file, of the network before training: its weights change neither."""
    from kattn.export.benchmark import bench
    from kattn.export.formats import FORMATS

    images = dataset.train.images
    images = images[:: max(1, len(images) // CALIBRATION)][:CALIBRATION].astype("float32")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        FORMATS["tflite"].export(model, path, precision="int8", calibration=images, strict=False, min_agreement=0)
        roughly = bench(path, calls=20)[0].p50_ms
        latency = bench(path, calls=int(min(max(TIMED / roughly, 20), 5000)))[0].p50_ms
        return {"int8_bytes": path.stat().st_size, "latency_ms": latency}


MEASURES = {"parameters": _counted, "macs": _counted, "int8_bytes": _exported, "latency_ms": _exported}
