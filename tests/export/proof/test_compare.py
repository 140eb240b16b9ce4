"""Running and comparing: what counts as equal, and what no runtime should be handed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from kattn.export import ExportError, compare, onnx
from kattn.export.formats import FORMATS, Precision

PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.34, 0.33, 0.33]])


def difference(got, expected=PROBABILITIES):
    return compare({"predictions": expected}, {"predictions": np.asarray(got)})["predictions"]


def test_equal_outputs_have_no_difference():
    found = difference(PROBABILITIES)
    assert (found.max_abs, found.mean_abs, found.top1_agreement, found.confident_agreement) == (0, 0, 1, 1)


def test_agreement_counts_images_and_confident_agreement_only_sure_ones():
    flipped = PROBABILITIES.copy()
    flipped[2] = [0.33, 0.34, 0.33]
    found = difference(flipped)
    assert found.top1_agreement == pytest.approx(2 / 3) and found.confident_agreement == 1
    assert found.max_abs == pytest.approx(0.01)


def test_the_difference_is_relative_to_large_values_and_absolute_below_one():
    assert difference(PROBABILITIES * 1000 + 1, PROBABILITIES * 1000).max_relative == pytest.approx(1 / 700)
    assert difference(PROBABILITIES + 0.01).max_relative == pytest.approx(0.01)


def test_maps_have_no_agreement():
    maps = np.ones((2, 4, 4, 1))
    assert difference(maps, maps).top1_agreement is None


@pytest.mark.parametrize(
    ("got", "said"),
    [
        ({"logits": PROBABILITIES}, "no output 'predictions'; it has logits"),
        ({"predictions": PROBABILITIES[:2]}, r"has the shape \(2, 3\), the model's \(3, 3\)"),
        ({"predictions": np.full((3, 3), np.nan)}, "of the artefact holds values that are not finite"),
    ],
)
def test_outputs_that_cannot_be_compared(got, said):
    with pytest.raises(ExportError, match=said):
        compare({"predictions": PROBABILITIES}, got)


def test_a_model_that_gives_nan_is_named():
    with pytest.raises(ExportError, match="of the model holds values that are not finite"):
        compare({"predictions": np.full((3, 3), np.inf)}, {"predictions": PROBABILITIES})


def test_an_export_of_such_a_network_says_so(model, images, tmp_path, monkeypatch):
    """Any network is one, where the tolerance is smaller than its rounding."""
    strict = dataclasses.replace(
        FORMATS["onnx"], precisions={"float32": Precision(tolerance=1e-12, allow_rounding=True)}
    )
    monkeypatch.setitem(FORMATS, "onnx", strict)
    report = onnx(model, tmp_path / "m.onnx", images=images)
    assert report.tolerance is not None and 1e-12 < report.max_abs_diff <= report.tolerance < 1e-4
    assert any("multiplies rounding errors" in warning for warning in report.warnings)
    with pytest.raises(ExportError, match="differs from the Keras model"):
        onnx(model, tmp_path / "m.onnx", images=images, tolerance=1e-12)
