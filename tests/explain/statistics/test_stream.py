"""Whatever holds labelled images gives the same batches; what holds none is refused."""

import numpy as np
import pytest
from support.explaining import DATA, IMAGES, LABELS

from kattn.data.batches import Batches
from kattn.data.dataset import Split
from kattn.explain import gate_statistics


def test_all_that_holds_images_gives_the_same(model):
    expected = gate_statistics(model, DATA, batch_size=10).means["se"]
    pieces = [(IMAGES[i : i + 10], LABELS[i : i + 10]) for i in (0, 10, 20)]
    one_hot = [(images, {"predictions": np.eye(3)[labels]}) for images, labels in pieces]
    sources = (Split(IMAGES, LABELS), pieces, iter(pieces), (p for p in pieces), one_hot, Batches(Split(*DATA), 10))
    for source in sources:
        np.testing.assert_allclose(gate_statistics(model, source, batch_size=10, layers="se").means["se"], expected)
    half = gate_statistics(model, Split(IMAGES, LABELS), limit=9).counts
    assert half.tolist() == [3, 3, 3]


def test_data_that_are_none_are_refused(model):
    for wrong, message in (
        (3, "data must be a name"),
        ([], "holds no images"),
        ([np.zeros((2, 8, 8, 3))], "must give batches"),
        ([(IMAGES, LABELS[:3])], "23 images and 3 labels"),
        ([(IMAGES[:, :4], LABELS)], "takes images of"),
        ([(IMAGES, LABELS + 1)], "class numbers from 0 to 2"),
        ([(IMAGES, LABELS - 1)], "class numbers from 0 to 2"),
    ):
        with pytest.raises(ValueError, match=message):
            gate_statistics(model, wrong, layers="se")
    with pytest.raises(ValueError, match="split must be"):
        gate_statistics(model, DATA, split="dev")
