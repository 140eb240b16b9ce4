import numpy as np
import pytest

from kattn.training.optimisation.schedules import DECAYS, Schedule
from kattn.training.recipes import SCHEDULES


def test_recipes_know_every_schedule():
    assert tuple(DECAYS) == SCHEDULES


def rates(schedule):
    return np.array([float(schedule(step)) for step in range(schedule.steps + 1)])


def test_cosine_rises_linearly_and_falls_to_its_floor():
    values = rates(Schedule(2.0, 100, "cosine", warmup=10, floor=0.1))
    np.testing.assert_allclose(values[:10], 0.2 * np.arange(1, 11), rtol=1e-5)
    assert values[55] == pytest.approx(2.0 * (0.1 + 0.9 * 0.5), rel=1e-3)
    assert values[100] == pytest.approx(0.2, rel=1e-4)
    assert (np.diff(values[10:]) <= 0).all()


def test_steps_divide_at_the_milestones():
    values = rates(Schedule(0.1, 100, "step", milestones=(50, 75)))
    np.testing.assert_allclose(values[[0, 49, 50, 74, 75, 100]], [0.1, 0.1, 0.01, 0.01, 0.001, 0.001], rtol=1e-4)


def test_power_is_the_fine_tuning_formula():
    values = rates(Schedule(0.01, 40, "power"))
    np.testing.assert_allclose(values, 0.01 * (1 + 10 * np.arange(41) / 40) ** -0.75, rtol=1e-4)


def test_constant_and_linear():
    assert set(rates(Schedule(0.5, 4, "constant"))) == {0.5}
    np.testing.assert_allclose(rates(Schedule(1.0, 4, "linear", floor=0.2)), [1, 0.8, 0.6, 0.4, 0.2], rtol=1e-5)


def test_a_schedule_that_cannot_be_is_an_error():
    with pytest.raises(ValueError, match="schedule must be one of"):
        Schedule(1.0, 10, "poly")
    with pytest.raises(ValueError, match="does not fit"):
        Schedule(1.0, 10, warmup=10)
