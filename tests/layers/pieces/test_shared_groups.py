import numpy as np
from keras import ops
from support.layer_checks import image, parameters

from kattn.layers.pieces.shared_groups import SharedGroupsConv2D


def test_every_group_is_convolved_as_if_it_were_alone():
    x = image(2, 5, 4, 6)
    conv = SharedGroupsConv2D(6, 3, groups=3)
    y = ops.convert_to_numpy(conv(x))
    assert parameters(conv) == 9 * 2 * 2 + 2
    alone = SharedGroupsConv2D(2, 3, groups=1)
    alone.build((None, 5, 4, 2))
    alone.set_weights(conv.get_weights())
    for group in range(3):
        part = slice(2 * group, 2 * group + 2)
        np.testing.assert_allclose(y[..., part], ops.convert_to_numpy(alone(x[..., part])), atol=1e-5)
