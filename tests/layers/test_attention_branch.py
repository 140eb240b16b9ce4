import numpy as np
import pytest

from kattn.layers import AttentionBranch


def image(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def test_behaves_as_a_layer_should(check_layer):
    check_layer(AttentionBranch(classes=3), image(2, 6, 5, 8))


def test_gives_scores_and_a_map_between_zero_and_one():
    logits, attention = AttentionBranch(classes=7)(image(2, 6, 5, 8))
    assert logits.shape == (2, 7) and attention.shape == (2, 6, 5, 1)
    assert np.asarray(attention).min() > 0 and np.asarray(attention).max() < 1


@pytest.mark.parametrize(("channels", "classes"), [(64, 100), (2048, 1000)])
def test_parameters_are_the_published_count(channels, classes):
    layer = AttentionBranch(classes)
    layer.build((None, 8, 8, channels))
    count = 2 * channels + channels * classes + 2 * classes + classes**2 + 9 * classes + 2
    assert sum(np.prod(w.shape) for w in layer.trainable_weights) == count


@pytest.mark.parametrize(
    ("options", "message"), [({"classes": 0}, "at least 1"), ({"classes": 2, "map_kernel_size": 2}, "must be odd")]
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        AttentionBranch(**options)
