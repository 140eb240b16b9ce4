"""Every kind of output is measured by what it is, against scikit-learn where that has the same measure."""

import dataclasses
import json

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from kattn.evaluation.kinds import from_dict, kind_by_targets, measured, targets_by_labels
from kattn.evaluation.metrics import MATRIX_CLASSES, measure
from kattn.evaluation.pixels import measure_map
from kattn.evaluation.values import measure_values
from kattn.evaluation.yes_or_no import measure_binary
from kattn.facts.description import KINDS

RNG = np.random.default_rng(0)


def round_trip(found):
    """The same from the JSON that a run holds."""
    assert from_dict(json.loads(json.dumps(found.to_dict()))) == found
    return found


def test_one_unit_answers_yes_or_no():
    labels = RNG.integers(0, 2, 80)
    outputs = np.clip(0.4 * labels + RNG.uniform(0, 0.6, 80), 0, 1)
    found = round_trip(measure_binary(outputs[:, None], labels, ["cat", "dog"]))
    assert found.accuracy == pytest.approx(sklearn_metrics.accuracy_score(labels, outputs > 0.5))
    assert found.roc_auc == pytest.approx(sklearn_metrics.roc_auc_score(labels, outputs))
    assert found.loss == pytest.approx(sklearn_metrics.log_loss(labels, np.clip(outputs, 1e-7, 1)), rel=1e-5)
    assert found.confusion == sklearn_metrics.confusion_matrix(labels, outputs > 0.5).tolist()
    assert found.per_class["dog"] == pytest.approx((outputs > 0.5)[labels == 1].mean())
    logits = np.log(outputs + 1e-9) - np.log(1 - outputs + 1e-9)
    again = measure_binary(logits, labels)
    assert (again.accuracy, again.roc_auc) == (found.accuracy, found.roc_auc)
    assert "ROC AUC" in str(found) and "ROC AUC" not in str(measure_binary(outputs, np.ones(80, int)))


def test_a_regression_has_errors_and_a_share_explained():
    targets = RNG.normal(0, 1, (50, 2)) * [1, 100]
    outputs = targets + RNG.normal(0, 0.3, (50, 2))
    found = round_trip(measure_values(outputs, targets, ["age", "income"]))
    assert found.mae == pytest.approx(sklearn_metrics.mean_absolute_error(targets, outputs))
    assert found.r2 == pytest.approx(sklearn_metrics.r2_score(targets, outputs))
    assert found.rmse == pytest.approx(np.sqrt(sklearn_metrics.mean_squared_error(targets, outputs)))
    assert found.per_value["age"]["r2"] == pytest.approx(sklearn_metrics.r2_score(targets[:, 0], outputs[:, 0]))
    one = measure_values(outputs[:, 0], targets[:, 0])
    assert one.values == 1 and one.mae == pytest.approx(found.per_value["age"]["mae"])
    assert measure_values(outputs[:, 0], np.ones(50)).r2 is None
    with pytest.raises(ValueError, match=r"values of shape \(2,\).*have \(1,\)"):
        measure_values(outputs, targets[:, :1])


def test_a_map_has_pixel_accuracy_and_overlaps():
    labels = RNG.integers(0, 3, (4, 6, 6))
    outputs = np.eye(4)[labels] * 0.6 + RNG.dirichlet(np.ones(4), labels.shape) * 0.4
    outputs[0] = RNG.dirichlet(np.ones(4), (6, 6))
    labels[1, :3] = 255
    kept, answers = labels != 255, outputs.argmax(-1)
    found = round_trip(measure_map(iter([outputs[:3], outputs[3:]]), labels, ["a", "b", "c", "none"]))
    assert found.pixel_accuracy == pytest.approx((answers == labels)[kept].mean())
    assert found.pixels == kept.sum() and found.images == 4
    scores = sklearn_metrics.jaccard_score(labels[kept], answers[kept], average=None)
    assert list(found.per_class_iou.values()) == pytest.approx(list(scores))
    assert found.mean_iou == pytest.approx(scores.mean())
    truth = np.take_along_axis(outputs, np.where(kept, labels, 0)[..., None], -1)[..., 0]
    assert found.loss == pytest.approx(-np.log(truth[kept]).mean())
    numbers = measure_map(answers, labels)
    assert numbers.loss is None and numbers.pixel_accuracy == found.pixel_accuracy
    with pytest.raises(ValueError, match=r"maps of \(6, 6\).*are \(3, 6\)"):
        measure_map(outputs, labels[:, :3])
    with pytest.raises(ValueError, match="No pixel"):
        measure_map(outputs, np.full((4, 6, 6), 255))


def test_a_class_that_no_pixel_is_of_nor_called_has_no_overlap():
    labels = np.zeros((1, 2, 2), int)
    found = measure_map(np.eye(3)[labels], labels, ["a", "b", "c"])
    assert found.per_class_iou == {"a": 1, "b": None, "c": None} and found.mean_iou == 1


def test_a_mask_of_one_channel_has_two_classes():
    labels = RNG.integers(0, 2, (2, 5, 5))
    outputs = np.where(labels, 0.8, 0.3)[..., None]
    assert measure_map(outputs, labels).mean_iou == measure_map(outputs[..., 0], labels).mean_iou == 1


def test_the_confusion_of_thousands_of_classes_stays_small():
    classes = 12000
    labels, answers = RNG.integers(0, classes, 50), RNG.integers(0, classes, 50)
    outputs = np.zeros((50, classes), "float32")
    outputs[np.arange(50), answers] = 1
    found = round_trip(measure(outputs, labels))
    assert found.confusion is None and sum(count for *_, count in found.confused) == 50
    assert [labels[0], answers[0], 1] in found.confused and len(json.dumps(found.confused)) < 2000
    small = measure(outputs[:, :MATRIX_CLASSES], labels % MATRIX_CLASSES)
    assert small.confused is None and np.sum(small.confusion) == 50


def test_many_classes_are_looked_at_in_parts(monkeypatch):
    outputs, labels = RNG.normal(0, 2, (25, 8)), RNG.integers(0, 8, 25)
    whole = measure(outputs, labels, [f"{i % 3}/{i}" for i in range(8)])
    monkeypatch.setattr("kattn.evaluation.metrics.ROWS", 24)
    parts = measure(outputs, labels, [f"{i % 3}/{i}" for i in range(8)])
    assert parts.first_level == pytest.approx(whole.first_level)
    assert dataclasses.replace(parts, first_level=None) == dataclasses.replace(whole, first_level=None)


def test_class_numbers_alone_have_an_accuracy_and_no_loss():
    found = round_trip(measured("integers", 1, "y").measure(np.array([0, 2, 1, 1]), np.array([0, 1, 1, 1])))
    assert (found.top1, found.loss, found.calibration_error) == (0.75, None, None)
    assert str(found).endswith("accuracy 75.00%")
    assert measured("integers", 3, "y").targets == "map"


def test_every_kind_is_measured_or_refused():
    for kind in KINDS:
        if kind == "embedding":
            with pytest.raises(ValueError, match=r"'y' is an embedding.*output=.*kind="):
                measured(kind, 2, "y")
        else:
            assert measured(kind, 2, "y")


@pytest.mark.parametrize(
    ("labels", "number", "targets"),
    [
        ([0, 1, 2], False, "classes"),
        ([0.5, 1.5, 2], False, "values"),
        ([0.0, 1.0, 1.0], False, "classes"),
        ([20, 31, 44], True, "values"),
        ([[0, 1], [1, 1], [0, 0]], False, "attributes"),
        ([[0.5, 1], [1, 1], [0, 0]], False, "values"),
        ([[0], [1], [1]], False, "classes"),
        (np.zeros((3, 4, 4), int), False, "map"),
    ],
)
def test_labels_say_what_answers_are_where_nothing_else_does(labels, number, targets):
    assert targets_by_labels(number)(np.asarray(labels)) == targets
    assert kind_by_targets("classes", (1,)) == "binary"
    assert kind_by_targets("classes", (4,)) == "classes"
