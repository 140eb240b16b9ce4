"""Pictures keep their pixels and say their scale; figures of statistics draw what they are given."""

import numpy as np
import pytest
from PIL import Image
from support.models import pixels

from kattn.explain import (
    channels_figure,
    contact_sheet,
    correlation_figure,
    faithfulness_figure,
    gate_figure,
    grid_figure,
    overlay,
    sampling_grid,
    save_figure,
    selectivity_figure,
    weights_figure,
)
from kattn.explain.statistics.drivers import Drivers
from kattn.explain.statistics.faithfulness import Curves
from kattn.explain.statistics.gates import GateStatistics


def texts(figure):
    """All that can be read in a figure."""
    figure.canvas.draw()
    import matplotlib.text

    return {text.get_text() for text in figure.findobj(matplotlib.text.Text)}


def test_overlay_mixes_pixels_and_colours():
    image = pixels((4, 5, 1))
    assert (overlay(image, np.zeros((4, 5)), strength=0) == np.rint(image).astype("uint8")).all()
    assert overlay(image, np.ones((4, 5))).shape == (4, 5, 3)
    heat = np.tile([0.0, 2.0, 5.0, 9.0], (4, 1))
    coloured = overlay(image[:, :4], heat, strength=1, limits=(2, 5))
    assert (coloured[:, 0] == coloured[:, 1]).all() and (coloured[:, 2] == coloured[:, 3]).all()
    brightness = overlay(np.zeros((1, 64, 3)), np.linspace(0, 1, 64)[None], strength=1)[0] @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(brightness) > -0.6).all()  # a grey print still shows the order
    for wrong, message in (
        ({"heat": np.ones((5, 4))}, "one size"),
        ({"strength": 1.5}, "strength must be"),
        ({"colours": "jet"}, "colours must be one of viridis"),
        ({"limits": (1, 1)}, "limits must be"),
    ):
        with pytest.raises(ValueError, match=message):
            overlay(**{"image": image, "heat": np.ones((4, 5)), **wrong})


def test_a_contact_sheet_holds_images_captions_and_scales(tmp_path):
    images = pixels((2, 8, 8, 3))
    columns = {"grad_cam": np.linspace(0, 1, 128).reshape(2, 8, 8), "gate": np.full((2, 8, 8), 0.5)}
    sheet = contact_sheet(
        images, columns, captions=["a cat", "a dog"], column_captions={"gate": ["b 90%", "c 80%"]}, title="Two"
    )
    assert {"image", "grad_cam", "gate", "a cat", "a dog", "b 90%", "c 80%", "Two", "0", "1", "0.5"} <= texts(sheet)
    png, svg = save_figure(sheet, tmp_path / "new" / "s.png"), save_figure(sheet, tmp_path / "s.svg")
    with Image.open(png) as file:
        assert file.size[0] > 200 and "a cat" in svg.read_text()
    for wrong, message in (
        ({"columns": {"x": np.zeros((2, 8, 9))}}, "column 'x' must be maps"),
        ({"captions": ["one"]}, "1 captions"),
        ({"images": images[:0]}, "images must be"),
    ):
        with pytest.raises(ValueError, match=message):
            contact_sheet(**{"images": images, "columns": columns, **wrong})
    with pytest.raises(ValueError, match=r"\.png, \.svg, \.pdf"):
        save_figure(sheet, tmp_path / "s.gif")


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


def test_a_transformers_grid_lies_where_it_reads():
    identity, corner = [1, 0, 0, 0, 1, 0], [0.5, 0, 0.5, 0, 0.5, -0.5]
    points = sampling_grid([identity, corner], lines=3)
    np.testing.assert_allclose(points[0, :, :, 0], [[0, 0.5, 1]] * 3)
    np.testing.assert_allclose(points[0, :, :, 1], np.transpose([[0, 0.5, 1]] * 3))
    np.testing.assert_allclose(points[1].reshape(-1, 2).min(0), [0.5, 0])
    np.testing.assert_allclose(points[1].reshape(-1, 2).max(0), [1, 0.5])
    figure = grid_figure(np.zeros((2, 8, 8, 3)), [identity, corner], lines=3)
    assert [len(axes.lines) for axes in figure.axes] == [6, 6]
    with pytest.raises(ValueError, match="lines must be"):
        sampling_grid([identity], lines=1)
