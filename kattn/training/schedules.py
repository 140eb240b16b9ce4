"""The learning rate over a training run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

KINDS = ("constant", "step", "cosine", "linear", "power")


@keras.saving.register_keras_serializable("kattn")
class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """Warm-up to a peak, then one of the usual ways down. With p the share of the steps after the warm-up, 0 to 1:

    constant  peak
    step      peak * factor^(milestones passed)
    cosine    peak * (floor + (1 - floor) (1 + cos(pi p)) / 2)
    linear    peak * (1 - (1 - floor) p)
    power     peak * (1 + 10 p)^-0.75, as fine-tuning after AFI's paper and other work on domain adaptation

    Args:
        peak: Highest learning rate.
        steps: Optimizer steps of the whole run.
        kind: One of the above.
        warmup: Steps of linear rise to the peak at the start; not 0 with "cosine" is what is called one-cycle.
        milestones: Steps at which "step" multiplies the rate by `factor`.
        factor: See milestones.
        floor: Share of the peak left at the end of "cosine" and "linear".

    Raises: ValueError for an unknown kind or a warm-up as long as the run.
    """

    def __init__(
        self,
        peak: float,
        steps: int,
        kind: str = "cosine",
        warmup: int = 0,
        milestones: Sequence[int] = (),
        factor: float = 0.1,
        floor: float = 0.0,
        name: str = "schedule",
    ) -> None:
        super().__init__()
        if kind not in KINDS:
            raise ValueError(f"schedule must be one of {', '.join(KINDS)}. Received: {kind!r}")
        if warmup and warmup >= steps:
            raise ValueError(f"A warm-up of {warmup} steps does not fit into a run of {steps}.")
        self.peak = peak
        self.steps = steps
        self.kind = kind
        self.warmup = warmup
        self.milestones = tuple(milestones)
        self.factor = factor
        self.floor = floor
        self.name = name

    def __call__(self, step: Any) -> Any:
        """The learning rate of the update after `step` updates."""
        step = ops.cast(step, "float32")
        share = ops.clip((step - self.warmup) / max(1, self.steps - self.warmup), 0.0, 1.0)
        rate = self.peak * self._decay(step, share)
        if self.warmup:
            rate = ops.where(step < self.warmup, self.peak * (step + 1) / self.warmup, rate)
        return rate

    def _decay(self, step: Any, share: Any) -> Any:
        if self.kind == "step":
            passed = sum(ops.cast(step >= milestone, "float32") for milestone in self.milestones)
            return self.factor ** (passed + ops.zeros_like(step))
        if self.kind == "cosine":
            return self.floor + (1 - self.floor) * 0.5 * (1 + ops.cos(math.pi * share))
        if self.kind == "linear":
            return 1 - (1 - self.floor) * share
        if self.kind == "power":
            return (1 + 10 * share) ** -0.75
        return ops.ones_like(step)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "peak": self.peak,
            "steps": self.steps,
            "kind": self.kind,
            "warmup": self.warmup,
            "milestones": self.milestones,
            "factor": self.factor,
            "floor": self.floor,
            "name": self.name,
        }
