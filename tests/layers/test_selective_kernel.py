import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops
from support.layer_checks import PROPERTY, build, check_free_sizes, image, parameters, randomise, run

from kattn.layers import SelectiveKernel


def ready(x, *args, **options):
    layer = build(SelectiveKernel(*args, **options), x)
    randomise(layer)
    return layer


def test_behaves_as_a_layer_should(check_layer):
    check_layer(SelectiveKernel(8, 2, groups=4, min_hidden=4, return_attention=True), image(2, 7, 6, 8))


def test_takes_maps_of_unknown_size():
    check_free_sizes(SelectiveKernel(8, 2, groups=2, min_hidden=4), image(2, 7, 6, 4))


def test_parameters_are_the_published_count():
    assert parameters(build(SelectiveKernel(128), image(1, 7, 7, 128))) == 22_080


@pytest.mark.parametrize(("strides", "dilation"), [(2, 2), (2, 4), (3, 3), (2, 3), (4, 2), (3, 2)])
@pytest.mark.parametrize("sides", [(8, 9), (5, 6)])
def test_a_strided_dilated_branch_equals_the_plain_one_subsampled(strides, dilation, sides):
    x = image(1, *sides, 4)
    layer = ready(x, 4, strides, dilations=(dilation,), groups=2, min_hidden=4)
    plain = keras.layers.Conv2D(4, 3, dilation_rate=dilation, padding="same", groups=2, use_bias=False)
    plain.build(x.shape)
    plain.kernel.assign(layer.convs[0].kernel)
    want = ops.relu(layer.norms[0](plain(x)[:, ::strides, ::strides]))
    np.testing.assert_allclose(run(layer, x)[0], ops.convert_to_numpy(want), atol=1e-5)


@PROPERTY
@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(1, 3),
    st.sampled_from([(1,), (1, 2), (1, 2, 3), (2, 1, 4)]),
    st.sampled_from([1, 2]),
)
def test_weights_sum_to_one_and_sizes_are_ceilings(height, width, strides, dilations, groups):
    """Channel by channel the output lies between the smallest and the largest branch."""
    x = image(2, height, width, 4)
    layer = ready(x, 6, strides, dilations=dilations, groups=groups, min_hidden=3, return_attention=True)
    y, attention = run(layer, x)
    assert y.shape == (2, -(-height // strides), -(-width // strides), 6)
    assert attention.shape == (2, len(dilations), 6) and attention.min() >= 0
    np.testing.assert_allclose(attention.sum(1), 1, atol=1e-5)
    branches = [ops.convert_to_numpy(layer._branch(ops.convert_to_tensor(x), m, False)) for m in range(len(dilations))]
    assert np.all(y >= np.min(branches, 0) - 1e-5) and np.all(y <= np.max(branches, 0) + 1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filters": 48}, "groups must divide filters"),
        ({"filters": 64, "kernel_size": 4}, "odd"),
        ({"filters": 64, "kernel_size": (3, 3, 3)}, "one for each of the dilations"),
        ({"filters": 64, "dilations": ()}, "dilations"),
        ({"filters": 64, "strides": 0}, "must be positive"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        SelectiveKernel(**options)


def test_channels_that_the_groups_do_not_divide_are_named():
    with pytest.raises(ValueError, match="does not divide the input's 48 channels"):
        SelectiveKernel(64).build((None, 8, 8, 48))
