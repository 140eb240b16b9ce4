"""SqueezeNet: poolings that round up, BAM and ABN around them, its start."""

import keras
import numpy as np
import pytest
from support.models import assert_probabilities, layers_of, pixels

from kattn.zoo import create
from kattn.zoo.backbones.squeezenet import max_pool


@pytest.mark.parametrize("open_size", [False, True])
@pytest.mark.parametrize("size", [(6, 8), (7, 5), (6, 7)])
def test_poolings_round_up_with_nothing_but_the_map_under_the_overhang(size, open_size):
    x = keras.Input((None, None, 1) if open_size else (*size, 1))
    image = -1 - np.random.default_rng(0).random((1, *size, 1), "float32")
    y = np.asarray(keras.Model(x, max_pool(x, "pool"))(image))
    expected = [
        [image[0, i : i + 3, j : j + 3].max() for j in range(0, max(size[1] - 1, 1), 2)]
        for i in range(0, max(size[0] - 1, 1), 2)
    ]
    np.testing.assert_array_equal(y[0, :, :, 0], expected)


def test_bam_stands_before_the_poolings():
    model = create("bam_squeezenet1_1", input_shape=(64, 64, 3))
    assert layers_of(model, "BottleneckAttention") == [f"stage{i}_bottleneck_attention" for i in (1, 2)]
    assert tuple(model.get_layer("stage1_bottleneck_attention").output.shape) == (None, 15, 15, 128)


def test_abn_runs_the_last_stages_copy_on_the_larger_map():
    model = create("abn_squeezenet1_1", input_shape=(64, 64, 3), classes=4)
    assert tuple(model.get_layer("attention_branch").output[1].shape) == (None, 7, 7, 1)
    assert_probabilities(model, (64, 64))


def test_afi_has_no_place_and_the_error_says_why():
    with pytest.raises(ValueError, match=r"afi has no place in squeezenet1_1.*fire modules have no shortcut"):
        create("afi_squeezenet1_1")


def test_images_too_small_are_refused():
    with pytest.raises(ValueError, match="at least 17x17 pixels"):
        create("squeezenet1_1", input_shape=(16, 32, 3))
    assert np.isfinite(np.asarray(create("squeezenet1_1", input_shape=(17, 17, 3))(pixels((1, 17, 17, 3))))).all()


def test_an_untrained_network_hesitates_between_the_classes():
    """Nothing normalises its maps: badly scaled weights would start it sure of one class, and without a gradient."""
    y = np.asarray(create("squeezenet1_1", input_shape=(65, 65, 3), classes=4)(pixels((2, 65, 65, 3))))
    assert 0.1 < y.min() < y.max() < 0.5
