import numpy as np
import pytest
from keras import ops
from support.layer_checks import build, image, parameters, randomise, run

from kattn.layers import BilinearAttentionTransform
from kattn.layers.bilinear_attention_transform import largest_block


def test_behaves_as_a_layer_should(check_layer):
    layer = BilinearAttentionTransform(block_size=3, matrices=2, dropout=0.0, return_attention=True)
    check_layer(layer, image(2, 6, 9, 8))


@pytest.mark.parametrize(("channels", "count"), [(256, 95_348), (512, 343_156)])
def test_parameters_are_the_references(channels, count):
    assert parameters(build(BilinearAttentionTransform(), image(1, 14, 14, channels))) == count


@pytest.mark.parametrize(("size", "block"), [((28, 28), 7), ((14, 7), 7), ((32, 16), 4), ((13, 13), 1), ((12, 9), 3)])
def test_the_bands_divide_the_map(size, block):
    assert largest_block(*size) == block


@pytest.mark.parametrize("size", [(6, 4), (2, 8), (2, 2)])
def test_it_is_the_product_with_kronecker_matrices(size):
    """The matrices as the paper writes them, of all rows by all rows and all columns by all columns."""
    height, width = size
    x = image(2, height, width, 8)
    layer = build(BilinearAttentionTransform(block_size=2, matrices=2, return_attention=True), x)
    randomise(layer)
    y, left, right = run(layer, x)
    np.testing.assert_allclose(left.sum(-1), 1, atol=1e-5)
    np.testing.assert_allclose(right.sum(-2), 1, atol=1e-5)
    u = ops.convert_to_numpy(layer.enter(x))
    parts = []
    for group in range(2):
        rows = np.stack([np.kron(matrix, np.eye(height // 2)) for matrix in left[:, group]])
        columns = np.stack([np.kron(matrix, np.eye(width // 2)) for matrix in right[:, group]])
        parts.append(np.einsum("bij,bjkc,bkl->bilc", rows, u[..., 2 * group : 2 * group + 2], columns))
    v = np.concatenate(parts, -1).astype("float32")
    expected = x + ops.convert_to_numpy(layer.leave(layer.mixed(v)))
    np.testing.assert_allclose(y, expected, atol=1e-4)


@pytest.mark.parametrize(("channels", "inner"), [(256, 128), (228, 112), (4, 4)])
def test_every_matrix_has_as_many_channels(channels, inner):
    assert build(BilinearAttentionTransform(), image(1, 4, 4, channels)).enter.filters == inner


def test_training_drops_whole_channels_of_the_branch():
    x = image(2, 4, 4, 64)
    layer = build(BilinearAttentionTransform(block_size=2, dropout=0.5), x)
    randomise(layer)
    branch = run(layer, x, training=True)[0] - x
    dropped = (np.abs(branch) < 1e-6).all((1, 2)).mean()
    assert dropped > 0.3 and not (np.abs(run(layer, x)[0] - x) < 1e-6).all((1, 2)).mean() > dropped


@pytest.mark.parametrize(
    ("options", "shape", "message"),
    [
        ({"block_size": 4}, (None, 6, 8, 8), "block_size=4 must divide"),
        ({}, (None, None, 4, 8), "known height and width"),
    ],
)
def test_maps_it_cannot_cut_are_refused(options, shape, message):
    with pytest.raises(ValueError, match=message):
        BilinearAttentionTransform(**options).build(shape)


@pytest.mark.parametrize("options", [{"block_size": 0}, {"matrices": 0}, {"dropout": 1.0}])
def test_bad_options_are_named(options):
    with pytest.raises(ValueError, match="must be at least 1, dropout from 0"):
        BilinearAttentionTransform(**options)
