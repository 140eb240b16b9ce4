"""The most active channels and the images that drive them are those of a sort."""

import numpy as np
import pytest
from support.explaining import DATA, IMAGES, LABELS, maps_of

from kattn.explain import top_channels


def test_the_top_channels_and_their_images_are_those_of_a_sort(model):
    found = top_channels(model, DATA, layer="last_relu", channels=2, images=4, batch_size=10)
    activity = maps_of(model, "last_relu").mean((1, 2))
    order = np.argsort(-activity.mean(0))[:2]
    np.testing.assert_array_equal(found.channels, order)
    for row, channel in enumerate(order):
        best = np.argsort(-activity[:, channel], kind="stable")[:4]
        np.testing.assert_allclose(found.strengths[row], activity[best, channel], atol=1e-5)
        np.testing.assert_array_equal(found.images[row], IMAGES[found.indices[row]])
        np.testing.assert_array_equal(found.labels[row], LABELS[found.indices[row]])
        np.testing.assert_allclose(found.maps[row].mean((1, 2)), found.strengths[row], atol=1e-5)
    with pytest.raises(ValueError, match="read twice"):
        top_channels(model, iter([DATA]))
    with pytest.raises(ValueError, match="at least 1"):
        top_channels(model, DATA, channels=0)
