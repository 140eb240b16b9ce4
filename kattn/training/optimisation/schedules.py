"""The learning rate over a training run."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops


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
        if kind not in DECAYS:
            raise ValueError(f"schedule must be one of {', '.join(DECAYS)}. Received: {kind!r}")
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
        rate = self.peak * DECAYS[self.kind](self, step, share)
        if self.warmup:
            rate = ops.where(step < self.warmup, self.peak * (step + 1) / self.warmup, rate)
        return rate

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


def _step(schedule: Schedule, step: Any, share: Any) -> Any:
    passed = sum(ops.cast(step >= milestone, "float32") for milestone in schedule.milestones)
    return schedule.factor ** (passed + ops.zeros_like(step))


def _cosine(schedule: Schedule, step: Any, share: Any) -> Any:
    return schedule.floor + (1 - schedule.floor) * 0.5 * (1 + ops.cos(math.pi * share))


# Kind -> share of the peak that is left, from the schedule, the step and the share of the run that is over.
DECAYS: dict[str, Callable[[Schedule, Any, Any], Any]] = {
    "constant": lambda schedule, step, share: ops.ones_like(step),
    "step": _step,
    "cosine": _cosine,
    "linear": lambda schedule, step, share: 1 - (1 - schedule.floor) * share,
    "power": lambda schedule, step, share: (1 + 10 * share) ** -0.75,
}
