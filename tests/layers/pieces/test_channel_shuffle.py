import numpy as np
import pytest
from support.layer_checks import check_free_sizes, image, run

from kattn.layers import ChannelShuffle


def test_behaves_as_a_layer_should(check_layer):
    check_layer(ChannelShuffle(3), image(2, 5, 4, 12))


def test_takes_maps_of_unknown_size():
    check_free_sizes(ChannelShuffle(2), image(2, 5, 4, 6))


def test_deals_the_channels_of_each_group_to_all_groups():
    x = np.broadcast_to(np.arange(6.0, dtype="float32"), (1, 2, 3, 6))
    (y,) = run(ChannelShuffle(2), x)
    np.testing.assert_array_equal(y, np.broadcast_to([0, 3, 1, 4, 2, 5], (1, 2, 3, 6)))


def test_shuffling_by_the_group_size_undoes_it():
    x = image(2, 3, 4, 12)
    (y,) = run(ChannelShuffle(3), x)
    (z,) = run(ChannelShuffle(4), y.astype("float32"))
    np.testing.assert_array_equal(z, x)


@pytest.mark.parametrize(("groups", "message"), [(0, "at least 1"), (5, "must divide the channels")])
def test_bad_groups_are_named(groups, message):
    with pytest.raises(ValueError, match=message):
        ChannelShuffle(groups).build((None, 4, 4, 12))
