"""What the candidates of a search cost: known before anything is trained, measured once, kept in costs.json."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kattn.data.dataset import Dataset
from kattn.runs.folder import RunFolder
from kattn.tuning.space import Candidate

COSTS = ("parameters", "macs", "int8_bytes", "latency_ms")  # in the order of what it takes to find out
ALWAYS = ("parameters", "macs")
FILE = "costs.json"
EXPONENT = -0.07  # MnasNet, arXiv:1807.11626: twice the cost for about 5 % more accuracy is an even trade
CALIBRATION = 64  # images
TIMED = 500.0  # milliseconds of calls whose median is the latency


class Costs:
    """The costs of candidates, and what follows from them: who is over budget, and the score.

    Args:
        folder: The search's.
        dataset: Decides the sizes of the networks; its images calibrate.
        budget: {cost: most allowed}.
        objective: "accuracy" and the costs that it is weighed against.
        writes: Whether this process keeps costs.json; of several only one does.
    """

    def __init__(
        self, folder: RunFolder, dataset: Dataset, budget: Mapping[str, float], objective: Sequence[str], writes: bool
    ) -> None:
        self.folder = folder
        self.dataset = dataset
        self.budget = dict(budget)
        self.weighed = [name for name in objective if name in COSTS]
        self.wanted = [name for name in COSTS if name in (*ALWAYS, *budget, *objective)]
        self.writes = writes
        self.known: dict[str, dict[str, Any]] = self.read()
        self.reference: dict[str, float] = {}

    def read(self) -> dict[str, dict[str, Any]]:
        """What costs.json holds."""
        file = self.folder.path / FILE
        return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}

    def of(self, candidate: Candidate) -> dict[str, float]:
        """The candidate's costs; what is over budget at a cost has the later ones not measured."""
        entry = self.known.get(candidate.network) or self.read().get(candidate.network)
        if entry is None:
            values = {name: value for name, value in candidate.values.items() if not name.startswith("recipe.")}
            entry = {"model": candidate.model, "values": values, "costs": {}}
        missing = [name for name in self.wanted if name not in entry["costs"]]
        if missing and not self.over(entry["costs"]):
            self._measure(candidate, entry["costs"])
            self.known[candidate.network] = entry
            if self.writes:
                self.folder.path.mkdir(parents=True, exist_ok=True)
                self.folder.write_json(FILE, self.known)
        self.known[candidate.network] = entry
        return entry["costs"]

    def over(self, costs: Mapping[str, float]) -> list[str]:
        """Names of the costs that are over budget."""
        return [name for name, most in self.budget.items() if costs.get(name, 0) > most]

    def fits(self, candidate: Candidate) -> bool:
        """Whether the candidate is within the budget."""
        return not self.over(self.of(candidate))

    def refer_to(self, first: Candidate) -> None:
        """Fix what costs are compared with: the budget, else the space's first candidate. It does not change ranks."""
        if self.weighed:
            self.reference = {name: self.budget.get(name) or self.of(first).get(name, 1.0) for name in self.weighed}

    def score(self, accuracy: float, costs: Mapping[str, float]) -> float:
        """Accuracy, times (cost / reference)^-0.07 for each cost that is part of the objective."""
        for name in self.weighed:
            accuracy *= (costs[name] / self.reference[name]) ** EXPONENT
        return accuracy

    def rejected(self) -> list[dict[str, Any]]:
        """The networks that were over budget, as costs.json knows them."""
        return [{**entry, "over": over} for entry in self.read().values() if (over := self.over(entry["costs"]))]

    def _measure(self, candidate: Candidate, costs: dict[str, float]) -> None:
        model = build(candidate.model, candidate.options, self.dataset)
        for name in self.wanted:
            if name not in costs and not self.over(costs):
                found = MEASURES[name](model, self.dataset)
                costs |= {one: value for one, value in found.items() if one in self.wanted}


def build(name: str, options: Mapping[str, Any], dataset: Dataset) -> Any:
    """The network as kattn.train builds it for the data, with the same weights each time."""
    import keras

    from kattn.zoo import create

    keras.utils.set_random_seed(0)
    fitting: dict[str, Any] = {"input_shape": dataset.image_shape, "classes": len(dataset.class_names)}
    if dataset.multi_label:
        fitting["classifier_activation"] = "sigmoid"
    try:
        return create(name, **{**fitting, **options})
    except (ValueError, TypeError) as error:
        chosen = ", ".join(f"{key}={value!r}" for key, value in options.items())
        raise ValueError(f"{name} cannot be built with {chosen or 'no options'}: {error}") from error


def _counted(model: Any, dataset: Dataset) -> dict[str, float]:
    from kattn.profiling import profile

    found = profile(model)
    return {"parameters": found.parameters, "macs": found.macs + found.matmul_macs}


def _exported(model: Any, dataset: Dataset) -> dict[str, float]:
    """Bytes of the int8 file, and how long it takes: both of the network before training, which weighs the same."""
    from kattn.export import bench, tflite

    images = dataset.train.images
    images = images[:: max(1, len(images) // CALIBRATION)][:CALIBRATION].astype("float32")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        tflite(model, path, precision="int8", calibration=images, strict=False, min_agreement=0)
        roughly = bench(path, calls=20)[0].p50_ms
        latency = bench(path, calls=int(min(max(TIMED / roughly, 20), 5000)))[0].p50_ms
        return {"int8_bytes": path.stat().st_size, "latency_ms": latency}


MEASURES = {"parameters": _counted, "macs": _counted, "int8_bytes": _exported, "latency_ms": _exported}
