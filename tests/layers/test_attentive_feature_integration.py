import contextlib

import numpy as np
import pytest
from support.models import randomise

from kattn.layers import AttentiveFeatureIntegration
from kattn.layers.pieces.portable import portable_graphs


def image(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


@pytest.mark.parametrize("count", [2, 3])
def test_behaves_as_a_layer_should(check_layer, count):
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


@pytest.mark.parametrize("export", [False, True])
def test_maps_side_by_side_count_as_one_each(export):
    a, b, c = (image(2, 6, 5, 8, seed=i) for i in range(3))
    layer = AttentiveFeatureIntegration(channels=8, return_attention=True)
    layer.build([(2, 6, 5, 16), (2, 6, 5, 8)])
    randomise(layer)
    want, want_weights = layer([a, b, c])
    with portable_graphs() if export else contextlib.nullcontext():
        got, weights = layer([np.concatenate([a, b], axis=-1), c])
    np.testing.assert_allclose(np.asarray(got), np.asarray(want), atol=1e-6)
    np.testing.assert_allclose(np.asarray(weights), np.asarray(want_weights), atol=1e-6)
    assert layer.compute_output_shape([(2, 6, 5, 16), (2, 6, 5, 8)]) == ((2, 6, 5, 8), (2, 3, 8))


def test_maps_side_by_side_behave_as_a_layer_should(check_layer):
    check_layer(AttentiveFeatureIntegration(channels=4), image(2, 6, 5, 8), image(2, 6, 5, 4, seed=1))


@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_exported_form_gives_the_same(count):
    maps = [image(2, 6, 5, 8, seed=i) for i in range(count)]
    layer = AttentiveFeatureIntegration(return_attention=True)
    layer.build([x.shape for x in maps])
    randomise(layer)
    want = layer(maps)
    with portable_graphs():
        got = layer(maps)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), atol=1e-6)


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


def test_a_width_that_no_number_of_maps_makes_up_is_refused():
    with pytest.raises(ValueError, match="8 channels each"):
        AttentiveFeatureIntegration(channels=8)([image(1, 4, 4, 8), image(1, 4, 4, 12)])


def test_no_channels_are_refused():
    with pytest.raises(ValueError, match="channels=0"):
        AttentiveFeatureIntegration(channels=0)
