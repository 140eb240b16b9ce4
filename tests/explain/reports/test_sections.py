"""Which images a report shows."""

from kattn.explain.reports.sections import chosen_images


def test_wrong_images_come_first_then_one_of_each_class():
    labels, predicted = [0, 0, 1, 1, 2, 2, 2], [0, 0, 1, 0, 2, 1, 2]
    assert chosen_images(predicted, labels, 6) == [3, 5, 0, 2, 4, 1]
    assert chosen_images(predicted, labels, 2) == [3, 0]
    assert chosen_images(labels, labels, 4) == [0, 2, 4, 1]
    assert chosen_images([1, 0], [0, 1], 2) == [0, 1]
