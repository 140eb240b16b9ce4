import numpy as np
import pytest
from helpers import randomise
from layer_checks import check_layer

from kattn.layers import AttentiveFeatureIntegration


def image(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


@pytest.mark.parametrize("count", [2, 3])
def test_behaves_as_a_layer_should(count):
    check_layer(AttentiveFeatureIntegration(), *(image(2, 6, 5, 8, seed=i) for i in range(count)))


@pytest.mark.parametrize("count", [2, 3, 5])
def test_weights_of_the_maps_sum_to_one_for_each_channel(count):
    maps = [image(2, 6, 5, 8, seed=i) for i in range(count)]
    layer = AttentiveFeatureIntegration(return_attention=True)
    layer.build([x.shape for x in maps])
    randomise(layer)
    y, weights = (np.asarray(v) for v in layer(maps))
    assert weights.shape == (2, count, 8)
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(y, np.einsum("mnhwc,nmc->nhwc", np.stack(maps), weights), atol=1e-5)


def test_one_map_alone_is_returned():
    x = image(2, 6, 5, 8)
    np.testing.assert_array_equal(np.asarray(AttentiveFeatureIntegration()([x])), x)


def test_huge_scores_do_not_overflow():
    maps = [1e6 * image(1, 2, 2, 4, seed=i) for i in range(3)]
    assert np.isfinite(np.asarray(AttentiveFeatureIntegration()(maps))).all()


def test_parameters_are_the_published_count():
    layer = AttentiveFeatureIntegration()
    layer.build([(None, 8, 8, 32)] * 3)
    assert layer.count_params() == 512


def test_maps_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match="maps of one shape"):
        AttentiveFeatureIntegration()([image(1, 4, 4, 8), image(1, 2, 2, 8)])
