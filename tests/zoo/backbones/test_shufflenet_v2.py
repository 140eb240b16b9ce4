"""ShuffleNet V2: its wiring, and AFI's place in it."""

import keras
import numpy as np
from support.models import integrated_maps, pixels, randomise

from kattn.zoo import create, features


def test_half_of_the_channels_pass_a_unit_untouched():
    model = create("shufflenet_v2_x0_5_cifar", input_shape=(8, 8, 3))
    randomise(model)
    before, after = (model.get_layer(f"stage1_block{i}_shuffle").output for i in (1, 2))
    x, y = keras.Model(model.input, [before, after])(pixels((2, 8, 8, 3)))
    np.testing.assert_array_equal(np.asarray(y)[..., ::2], np.asarray(x)[..., :24])


def test_afi_halves_every_unit_but_the_one_that_shrinks_the_map():
    model = create("afi_shufflenet_v2_x0_5_cifar", input_shape=(8, 8, 3))
    assert [model.get_layer(f"stage2_block{i}_conv1").filters for i in range(1, 9)] == [48, *[24] * 7]
    assert len(integrated_maps(model, "stage2_block8_conv1")) == 8


def test_abn_copies_the_last_stage_at_stride_one():
    model = create("abn_shufflenet_v2_x0_5_cifar", input_shape=(16, 16, 3), attention_map=True)
    assert tuple(model.output["attention_map"].shape) == (None, 4, 4, 1)


def test_levels_go_from_the_stem_to_stride_32():
    model = create("se_shufflenet_v2_x0_5", input_shape=(None, None, 3))
    levels = features(model)(pixels((1, 64, 96, 3)))
    assert {name: tuple(x.shape) for name, x in levels.items()} == {
        "C2": (1, 16, 24, 24),
        "C3": (1, 8, 12, 48),
        "C4": (1, 4, 6, 96),
        "C5": (1, 2, 3, 192),
    }
    assert all(np.isfinite(np.asarray(x)).all() for x in levels.values())
