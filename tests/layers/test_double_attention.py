import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.layer_checks import PROPERTY, build, check_free_sizes, image, parameters, randomise, run

from kattn.layers import DoubleAttention


@pytest.mark.parametrize("options", [{}, {"reconstruct": False, "residual": False, "features": 6}])
def test_behaves_as_a_layer_should(check_layer, options):
    check_layer(DoubleAttention(return_attention=True, **options), image(2, 6, 5, 8))


def test_takes_maps_of_unknown_size():
    check_free_sizes(DoubleAttention(return_attention=True), image(2, 5, 7, 4))


@pytest.mark.parametrize(("reduction", "count"), [(2, 131_712), (4, 65_984)])
def test_parameters_are_the_references(reduction, count):
    assert parameters(build(DoubleAttention(reduction), image(1, 2, 2, 256))) == count


@PROPERTY
@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 4), st.integers(1, 4))
def test_it_is_the_equation_written_out(height, width, features, descriptions):
    x = image(2, height, width, 6)
    options = {"features": features, "descriptions": descriptions, "return_attention": True}
    layer = build(DoubleAttention(**options), x)
    randomise(layer)
    y, where = run(layer, x)
    rows = x.reshape(2, -1, 6)

    def project(conv, of):
        return of @ np.asarray(conv.kernel)[0, 0] + np.asarray(conv.bias)

    def softmax(z, axis):
        e = np.exp(z - z.max(axis, keepdims=True))
        return e / e.sum(axis, keepdims=True)

    gathered = softmax(project(layer.where, rows), 1)
    shares = softmax(project(layer.distribute, rows), 2)
    matrix = np.einsum("bim,bin->bmn", project(layer.gather, rows), gathered)
    z = np.einsum("bmn,bin->bim", matrix, shares)
    np.testing.assert_allclose(y, (rows + project(layer.out, z)).reshape(y.shape), atol=1e-4)
    np.testing.assert_allclose(where.reshape(gathered.shape), gathered, atol=1e-5)
    np.testing.assert_allclose(where.sum((1, 2)), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"features": 0}, "features must be"), ({"descriptions": -1}, "descriptions"), ({"reduction": 0}, "reduction")],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        DoubleAttention(**options)


def test_a_sum_of_other_widths_is_refused():
    with pytest.raises(ValueError, match="adds 8 channels to 4"):
        DoubleAttention(reconstruct=False).build((None, 4, 4, 8))
