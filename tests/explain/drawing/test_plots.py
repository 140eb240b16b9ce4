"""Figures of statistics draw what they are given."""

import numpy as np
import pytest
from support.explaining import texts

from kattn.explain import (
    channels_figure,
    correlation_figure,
    faithfulness_figure,
    gate_figure,
    grid_figure,
    selectivity_figure,
    weights_figure,
)
from kattn.explain.drawing.plots import confusion_figure, history_figure
from kattn.explain.statistics.drivers import Drivers
from kattn.explain.statistics.faithfulness import Curves
from kattn.explain.statistics.gates import GateStatistics


def test_gates_are_drawn_by_class_and_layer():
    rng = np.random.default_rng(0)
    means = {f"layer{i}": rng.uniform(size=(3, 8)) for i in range(9)} | {"afi": rng.uniform(size=(3, 2, 8))}
    statistics = GateStatistics(means, means, np.array([4, 9, 1]), ("ant", "bee", "cow"))
    seen = texts(gate_figure(statistics, classes=2))
    assert {"ant", "bee", "all", "layer0", "afi"} <= seen and "cow" not in seen
    assert len({text for text in seen if text.startswith("layer")}) == 5
    np.testing.assert_allclose(statistics.overall("afi"), np.average(means["afi"], axis=0, weights=[4, 9, 1]))


def test_selectivity_of_two_models_stands_side_by_side():
    index = {"conv": np.linspace(0, 1, 11), "only_here": np.zeros(4)}
    seen = texts(selectivity_figure({"plain": index, "afi": {"conv": np.full(11, 0.25)}}))
    assert {"plain (0.500)", "afi (0.250)", "conv"} <= seen and "only_here" not in seen
    assert "all layers" in texts(selectivity_figure({"a": {"x": np.zeros(3)}, "b": {"y": np.ones(3)}}))


def test_the_other_figures_say_what_they_show():
    assert "epoch 3\nmean 0.000" in texts(correlation_figure({"epoch 3": np.eye(4)}))
    drivers = Drivers(
        layer="last",
        channels=np.array([7, 2]),
        activity=np.array([0.5, 0.25]),
        indices=np.zeros((2, 3), int),
        strengths=np.ones((2, 3)),
        labels=np.array([[0, 1, 1], [1, 0, 0]]),
        images=np.zeros((2, 3, 8, 8, 3), "uint8"),
        maps=np.ones((2, 3, 4, 4)),
    )
    assert {"last", "channel 7\n0.5", "ant", "bee"} <= texts(channels_figure(drivers, ["ant", "bee"]))
    assert "map 2 (mean 0.75)" in texts(weights_figure(np.tile([[0.25], [0.75]], (5, 1, 6)), title="afi"))
    with pytest.raises(ValueError, match="weights must be"):
        weights_figure(np.zeros(3))
    curves = Curves(np.linspace(0, 1, 3), np.array([[1.0, 0.5, 0.0]]), np.array([[0.0, 1.0, 1.0]]))
    assert {"cam (0.500)", "cam (0.750)"} <= texts(faithfulness_figure({"cam": curves}))
    assert {"predicted class", "a\\$b", "3"} <= texts(confusion_figure([[3, 1], [0, 2]], ["a$b", "c"]))
    history = [{"epoch": i, "loss": 1.0, "val_loss": 2.0, "attention_loss": 3.0} for i in (1, 2)]
    assert {"loss", "training", "validation", "epoch"} <= texts(
        history_figure([{**row, "accuracy": 0.5} for row in history])
    )


def test_a_transformers_grid_is_drawn_on_each_image():
    figure = grid_figure(np.zeros((2, 8, 8, 3)), [[1, 0, 0, 0, 1, 0], [0.5, 0, 0.5, 0, 0.5, -0.5]], lines=3)
    assert [len(axes.lines) for axes in figure.axes] == [6, 6]
