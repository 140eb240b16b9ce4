"""Statistics over data are what a plain loop computes, whatever holds the data, and hold no more with more of it."""

import keras
import numpy as np
import pytest
from keras import layers
from support.models import randomise

import kattn.layers as kl
from kattn.data.batches import Batches
from kattn.data.loading import Split
from kattn.explain import (
    ChannelCorrelationLog,
    activation_area,
    channel_correlations,
    class_selectivity,
    gate_statistics,
    grad_cam,
    mean_correlation,
    selectivity_index,
    top_channels,
)

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 255, (23, 8, 8, 3)).astype("uint8")
LABELS = (np.arange(23) % 3).astype("int32")
DATA = (IMAGES, LABELS)


@pytest.fixture(scope="module")
def model():
    x = keras.Input((8, 8, 3), name="image")
    y = layers.Rescaling(1 / 255)(x)
    y = layers.Conv2D(6, 3, activation="relu", name="first")(y)
    y = kl.SqueezeExcite(reduction=2, name="se")(y)
    y = kl.CBAM(reduction=2, name="cbam")(y)
    y = kl.AttentiveFeatureIntegration(name="afi")([y, y * 0.5])
    y = layers.Conv2D(5, 3, name="last")(y)
    y = layers.Activation("relu", name="last_relu")(y)
    y = layers.Dense(3, name="logits")(layers.GlobalAveragePooling2D()(y))
    model = keras.Model(x, layers.Activation("softmax")(y), name="small")
    randomise(model, seed=2)
    return model


def at(model, name):
    return np.asarray(keras.Model(model.inputs[0], model.get_layer(name).output)(IMAGES.astype("float32")))


def test_class_selectivity_of_a_worked_example():
    means = [[3.0, 1.0, 0.0, 0.0], [1.0, 1.0, 0.0, 4.0], [0.0, 1.0, 0.0, 0.0]]
    # channel 0: (3 - 0.5) / (3 + 0.5); 1: alike; 2: dead; 3: one class only
    np.testing.assert_allclose(selectivity_index(means), [2.5 / 3.5, 0, 0, 1])
    with_empty_class = [*means, [np.nan] * 4]
    np.testing.assert_allclose(selectivity_index(with_empty_class), [2.5 / 3.5, 0, 0, 1])


def test_class_selectivity_stays_in_its_bounds():
    for seed in range(20):
        means = np.random.default_rng(seed).exponential(size=(1 + seed % 7 + 1, 50)) ** 3
        index = selectivity_index(means)
        assert index.min() >= 0 and index.max() <= 1
    for wrong, message in (([[1.0, 2.0]], "compares classes"), ([[1.0], [-1.0]], "not be negative")):
        with pytest.raises(ValueError, match=message):
            selectivity_index(wrong)


def test_class_selectivity_equals_a_plain_loop(model):
    found = class_selectivity(model, DATA, batch_size=10)
    assert list(found) == ["first", "afi", "last_relu"]
    activity = np.maximum(at(model, "last_relu"), 0).mean((1, 2))
    means = [activity[k == LABELS].mean(0) for k in range(3)]
    np.testing.assert_allclose(found["last_relu"], selectivity_index(means), atol=1e-5)
    assert list(class_selectivity(model, DATA, layers="last")) == ["last"]
    with pytest.raises(ValueError, match="closest: first"):
        class_selectivity(model, DATA, layers=["firs"])


def test_gate_statistics_equal_a_plain_loop(model):
    found = gate_statistics(model, DATA, batch_size=10)
    assert {name: means.shape for name, means in found.means.items()} == {
        "se": (3, 6),
        "cbam:channels": (3, 6),
        "afi": (3, 2, 6),
    }
    se, squeezed = model.get_layer("se"), at(model, "first").mean((1, 2), keepdims=True)
    gate = np.asarray(se.expand(se.reduce(squeezed)))[:, 0, 0]
    for k in range(3):
        np.testing.assert_allclose(found.means["se"][k], gate[k == LABELS].mean(0), atol=1e-5)
        np.testing.assert_allclose(found.deviations["se"][k], gate[k == LABELS].std(0), atol=1e-4)
    np.testing.assert_allclose(found.overall("se"), gate.mean(0), atol=1e-5)
    np.testing.assert_allclose(found.means["afi"].sum(1), 1, atol=1e-5)
    assert found.counts.tolist() == [8, 8, 7] and found.class_names == ("0", "1", "2")
    x = keras.Input((8, 8, 3), name="image")
    with pytest.raises(ValueError, match="no gates of channels"):
        gate_statistics(keras.Model(x, layers.GlobalAveragePooling2D()(layers.Conv2D(3, 1)(x))), DATA)


def test_all_that_holds_images_gives_the_same(model):
    expected = gate_statistics(model, DATA, batch_size=10).means["se"]
    pieces = [(IMAGES[i : i + 10], LABELS[i : i + 10]) for i in (0, 10, 20)]
    one_hot = [(images, {"predictions": np.eye(3)[labels]}) for images, labels in pieces]
    sources = (Split(IMAGES, LABELS), pieces, iter(pieces), (p for p in pieces), one_hot, Batches(Split(*DATA), 10))
    for source in sources:
        np.testing.assert_allclose(gate_statistics(model, source, batch_size=10, layers="se").means["se"], expected)
    half = gate_statistics(model, Split(IMAGES, LABELS), limit=9).counts
    assert half.tolist() == [3, 3, 3]


def test_data_that_are_none_are_refused(model):
    for wrong, message in (
        (3, "data must be a name"),
        ([], "holds no images"),
        ([np.zeros((2, 8, 8, 3))], "must give batches"),
        ([(IMAGES, LABELS[:3])], "23 images and 3 labels"),
        ([(IMAGES[:, :4], LABELS)], "takes images of"),
        ([(IMAGES, LABELS + 1)], "class numbers from 0 to 2"),
        ([(IMAGES, LABELS - 1)], "class numbers from 0 to 2"),
    ):
        with pytest.raises(ValueError, match=message):
            gate_statistics(model, wrong, layers="se")
    with pytest.raises(ValueError, match="split must be"):
        gate_statistics(model, DATA, split="dev")


def test_what_is_kept_does_not_grow_with_the_data():
    from kattn.explain.statistics.class_means import ClassMeans

    few, many = ClassMeans(4), ClassMeans(4)
    few.add({"a": np.ones((8, 5))}, np.arange(8) % 4)
    for _ in range(50):
        many.add({"a": np.ones((8, 5))}, np.arange(8) % 4)
    sizes = [sum(a.nbytes for a in (m.counts, *m.sums.values(), *m.squares.values())) for m in (few, many)]
    assert sizes[0] == sizes[1]
    np.testing.assert_allclose(many.means("a"), 1)


def test_channel_correlations_equal_numpys(model):
    found = channel_correlations(model, DATA, layers=["first", "last_relu"], batch_size=10)
    for name, matrix in found.items():
        rows = at(model, name).reshape(-1, matrix.shape[0]).astype("float64")
        alive = rows.std(0) > 0
        with np.errstate(invalid="ignore"):
            expected = np.where(np.outer(alive, alive), np.corrcoef(rows.T), 0)
        np.testing.assert_allclose(matrix, expected, atol=1e-3)
    eye = np.eye(3)
    assert mean_correlation(eye) == 0 and mean_correlation(np.ones((3, 3))) == 1 and mean_correlation(-eye[:1, :1]) == 0


def test_correlations_are_kept_while_training(model):
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    twin.compile("sgd", loss="sparse_categorical_crossentropy")
    log = ChannelCorrelationLog(DATA, layers="last_relu", epochs=(0, 2), batch_size=23)
    twin.fit(IMAGES, LABELS, epochs=2, verbose=0, callbacks=[log])
    assert list(log.stages) == [0, 2]
    expected = channel_correlations(model, DATA, layers="last_relu")["last_relu"]
    np.testing.assert_allclose(log.stages[0]["last_relu"], expected, atol=1e-5)


def test_the_top_channels_and_their_images_are_those_of_a_sort(model):
    found = top_channels(model, DATA, layer="last_relu", channels=2, images=4, batch_size=10)
    activity = at(model, "last_relu").mean((1, 2))
    order = np.argsort(-activity.mean(0))[:2]
    np.testing.assert_array_equal(found.channels, order)
    for row, channel in enumerate(order):
        best = np.argsort(-activity[:, channel], kind="stable")[:4]
        np.testing.assert_allclose(found.strengths[row], activity[best, channel], atol=1e-5)
        np.testing.assert_array_equal(found.images[row], IMAGES[found.indices[row]])
        np.testing.assert_array_equal(found.labels[row], LABELS[found.indices[row]])
        np.testing.assert_allclose(found.maps[row].mean((1, 2)), found.strengths[row], atol=1e-5)
    with pytest.raises(ValueError, match="pass twice"):
        top_channels(model, iter([DATA]))
    with pytest.raises(ValueError, match="at least 1"):
        top_channels(model, DATA, channels=0)


def test_the_activation_area_is_the_share_above_the_threshold(model):
    classes = int(np.asarray(model.get_layer("logits").kernel).sum(0).argmax())
    maps = grad_cam(model, IMAGES, classes=classes)
    there = maps.max((1, 2)) > 0
    shares = (maps[there] >= 0.3).mean((1, 2))
    found = activation_area(model, DATA, threshold=0.3, batch_size=10, classes=classes)
    assert found.images > 5
    assert (found.images, found.empty) == (there.sum(), (~there).sum())
    np.testing.assert_allclose([found.mean, found.deviation], [shares.mean(), shares.std()], atol=1e-5)
    assert found.histogram.sum() == found.images
    with pytest.raises(ValueError, match="threshold"):
        activation_area(model, DATA, threshold=0)
