import json

import numpy as np
import pytest

from kattn.evaluation.kinds import from_dict
from kattn.evaluation.metrics import Evaluation, calibration_error, measure, measure_attributes

PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4], [0.6, 0.3, 0.1]])
LABELS = np.array([0, 1, 2, 1])


def test_the_numbers_are_what_their_definitions_say():
    found = measure(PROBABILITIES, LABELS, ["a", "b", "c"])
    assert found.top1 == 0.75
    assert found.top5 is None
    assert found.loss == pytest.approx(-np.log([0.7, 0.8, 0.4, 0.3]).mean())
    assert found.confusion == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    assert found.per_class == {"a": 1.0, "b": 0.5, "c": 1.0}
    assert found.calibration_error == pytest.approx((0.3 + 0.2 + 0.6 + 0.6) / 4)


def test_calibration_compares_confidence_with_accuracy_bin_by_bin():
    confidence = np.full(100, 0.75)
    assert calibration_error(confidence, np.arange(100) < 75) == pytest.approx(0.0, abs=1e-12)
    assert calibration_error(confidence, np.arange(100) < 50) == pytest.approx(0.25)
    both = np.concatenate([np.full(50, 0.55), np.full(50, 1.0)])
    assert calibration_error(both, np.arange(100) < 50) == pytest.approx((0.45 + 1.0) / 2)


def test_top5_counts_the_five_highest():
    outputs = np.tile(np.arange(8.0) / 28, (8, 1))
    found = measure(outputs, np.arange(8))
    assert (found.top1, found.top5) == (1 / 8, 5 / 8)


def test_logits_give_the_same_as_their_probabilities():
    logits = np.log(PROBABILITIES) * 1.0 + 3
    assert measure(logits, LABELS).loss == pytest.approx(measure(PROBABILITIES, LABELS).loss)


def test_a_class_without_images_has_no_accuracy_and_all_of_it_is_json():
    found = measure(PROBABILITIES[:2], LABELS[:2])
    assert found.per_class["2"] is None
    assert Evaluation(**json.loads(json.dumps(found.to_dict()))) == found


def test_outputs_that_are_not_finite_are_an_error():
    with pytest.raises(ValueError, match="not finite"):
        measure(PROBABILITIES * np.nan, LABELS)


def test_the_numbers_of_attributes():
    labels = np.array([[1, 0, 1], [0, 0, 1], [1, 1, 1]])
    outputs = np.array([[0.9, 0.2, 0.6], [0.6, 0.4, 0.7], [0.8, 0.3, 0.2]])
    found = measure_attributes(outputs, labels, ["a", "b", "c"])
    assert found.accuracy == pytest.approx(6 / 9)
    assert found.per_attribute == pytest.approx({"a": 2 / 3, "b": 2 / 3, "c": 2 / 3})
    assert found.average_precision == pytest.approx((1.0 + 1 / 2) / 2)  # of the third nothing can be told
    assert found.loss == pytest.approx(-np.log([0.9, 0.8, 0.6, 0.4, 0.6, 0.7, 0.8, 0.3, 0.2]).mean())
    assert from_dict(json.loads(json.dumps(found.to_dict()))) == found
    logits = np.log(outputs / (1 - outputs))
    assert measure_attributes(logits, labels).loss == pytest.approx(found.loss)


def test_values_that_are_not_finite_are_an_error():
    with pytest.raises(ValueError, match="not finite"):
        measure_attributes(np.full((2, 3), np.nan), np.zeros((2, 3)))


def test_classes_of_two_levels_are_told_apart_at_the_first_one_too():
    probabilities = np.array([[0.3, 0.3, 0.4], [0.6, 0.3, 0.1], [0.1, 0.2, 0.7]])
    found = measure(probabilities, np.array([0, 1, 2]), ["audi/a4", "audi/tt", "bmw/x5"])
    assert found.top1 == pytest.approx(1 / 3)
    assert found.first_level == pytest.approx(1.0)
    assert "first level 100.00%" in str(found)
    assert measure(probabilities, np.array([0, 1, 2]), ["a", "b", "c"]).first_level is None
