"""An edited attention map is what the network goes by."""

import numpy as np
import pytest
from support.explaining import linear
from support.models import pixels, randomise

from kattn.explain import attention, attention_values, edit, editable
from kattn.zoo import create


@pytest.fixture(scope="module")
def abn():
    model = create("abn_resnet20", input_shape=(16, 16, 3), classes=4, depths=(1, 1, 1))
    randomise(model)
    return model


def test_the_own_map_given_back_changes_nothing(abn):
    images = pixels((3, 16, 16, 3))
    own = np.asarray(abn(images)["predictions"])
    np.testing.assert_allclose(edit(abn, images), own, atol=1e-6)
    two = editable(abn)
    own_map = np.asarray(attention_values(abn, images)["attention_branch"])
    np.testing.assert_allclose(edit(abn, images, attention_map=own_map, batch_size=2), own, atol=1e-6)
    given = {"image": images, "attention_map": own_map}
    np.testing.assert_allclose(np.asarray(two(given)), own, atol=1e-6)


def test_another_map_changes_the_prediction(abn):
    images = pixels((3, 16, 16, 3))
    own = attention(abn, images)["attention_branch"]
    nothing = edit(abn, images, attention_map=np.zeros((8, 8)))
    painted = edit(abn, images, attention_map=np.where(own > own.mean(), 1.0, 0.0))  # on the image's pixels
    assert np.abs(nothing - edit(abn, images)).max() > 1e-3
    assert np.abs(painted - nothing).max() > 1e-3
    np.testing.assert_allclose(painted.sum(-1), 1, atol=1e-5)


def test_a_map_that_is_none_is_refused(abn):
    images = pixels((3, 16, 16, 3))
    for wrong, message in (
        (np.zeros((2, 8, 8)), "for 3 images"),
        (np.zeros(8), "attention_map must be"),
        (np.full((8, 8), 1.5), "must lie in 0-1"),
        (np.full((8, 8), np.nan), "must lie in 0-1"),
    ):
        with pytest.raises(ValueError, match=message):
            edit(abn, images, attention_map=wrong)
    with pytest.raises(ValueError, match="no attention branch"):
        edit(linear(), np.zeros((1, 8, 6, 3)))
