"""The activation area is the share of pixels above the threshold."""

import numpy as np
import pytest
from support.explaining import DATA, IMAGES

from kattn.explain import activation_area, grad_cam


def test_the_activation_area_is_the_share_above_the_threshold(model):
    classes = int(np.asarray(model.get_layer("logits").kernel).sum(0).argmax())
    maps = grad_cam(model, IMAGES, classes=classes)
    there = maps.max((1, 2)) > 0
    shares = (maps[there] >= 0.3).mean((1, 2))
    found = activation_area(model, DATA, threshold=0.3, batch_size=10, classes=classes)
    assert found.images > 5
    assert (found.images, found.empty) == (there.sum(), (~there).sum())
    np.testing.assert_allclose([found.mean, found.deviation], [shares.mean(), shares.std()], atol=1e-5)
    assert found.histogram.sum() == found.images
    with pytest.raises(ValueError, match="threshold"):
        activation_area(model, DATA, threshold=0)
