"""The segmentation networks: sizes, outputs, sums to one, their authors' parameters, training, weights, export."""

import functools
import math

import keras
import numpy as np
import pytest
from keras import ops
from support.models import largest_difference, pixels, randomise
from support.segmentation import HEADS, SIZE, labels, network, small

from kattn.zoo import create, criss_cross, features, segmentation_losses
from kattn.zoo.backbones.table import BACKBONES

each = pytest.mark.parametrize("head", HEADS)


def slow_but(*quick):
    """All heads; those that are not named are slow tests."""
    return [pytest.param(head, marks=() if head in quick else pytest.mark.slow) for head in HEADS]


@functools.cache
def random_network(head):
    """For tests that change nothing in it."""
    model = network(head)
    randomise(model)
    return model


@each
def test_every_pixel_gets_probabilities_from_a_map_of_stride_8(head):
    model = random_network(head)
    outputs = model(pixels((2, SIZE, SIZE, 3)))
    assert set(outputs) == HEADS[head][2]
    for name, y in outputs.items():
        if name == "presence_logits":
            assert tuple(y.shape) == (2, 5)
            continue
        assert tuple(y.shape) == (2, SIZE, SIZE, 5)
        np.testing.assert_allclose(ops.convert_to_numpy(y).sum(-1), 1, rtol=1e-5)
    assert model.get_layer("C5").output.shape[1:3] == (5, 5)


@pytest.mark.parametrize("head", slow_but("encoding", "dual_attention"))
def test_without_auxiliary_outputs_it_is_the_network_of_the_prediction(head):
    bare, model = network(head, auxiliary=False, classifier_activation=None), random_network(head)
    kept = {layer.name for layer in bare.layers if layer.weights}
    if head == "encoding":  # the layer that also says which classes occur
        kept.remove("context_encoding")
        named = {w.path for w in model.get_layer("context_encoding").weights}
        assert {w.path for w in bare.get_layer("context_encoding").weights} < named
    for name in kept:
        bare.get_layer(name).set_weights(model.get_layer(name).get_weights())
    x = pixels((1, SIZE, SIZE, 3))
    y = ops.convert_to_numpy(bare(x))
    assert y.min() < 0  # logits
    if head != "encoding":
        assert largest_difference(ops.softmax(y), model(x)["predictions"]) < 1e-5


def conv(inputs, outputs, size=1, bias=False):
    return size**2 * inputs * outputs + (outputs if bias else 2 * outputs)  # a bias, or scale and shift


def auxiliary_count(width, classes, bias=False):
    return conv(1024, width, 3) + (width if bias else 0) + conv(width, classes, bias=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("head", "options", "count"),
    [
        ("psa", {}, 8_291_328 + conv(4096, 512, 3) + conv(512, 19, bias=True) + auxiliary_count(256, 19)),
        (
            "psa",
            {"mode": "collect"},
            4_147_712 + conv(4096, 512, 3) + conv(512, 19, bias=True) + auxiliary_count(256, 19),
        ),
        (
            "psa",
            {"compact": True},
            5_648_384 + conv(4096, 512, 3) + conv(512, 19, bias=True) + auxiliary_count(256, 19),
        ),
        (
            "encoding",
            {"classes": 150},
            619_254 + conv(2048, 512, 3) + conv(512, 150, bias=True) + auxiliary_count(256, 150),
        ),
        (
            "encoding",
            {"classes": 150, "auxiliary": False},
            542_304 + conv(2048, 512, 3) + conv(512, 150, bias=True),
        ),
        (
            "object_context",
            {},
            920_576  # the fusion is among them
            + conv(2048, 512, 3)
            + 512
            + conv(512, 19, bias=True)
            + auxiliary_count(512, 19, bias=True),
        ),
        (
            "object_context",
            {"form": "pyramid"},
            5_782_016 + conv(2048, 512, 3) + 512 + conv(512, 19, bias=True) + auxiliary_count(512, 19, bias=True),
        ),
        (
            "object_context",
            {"form": "asp"},
            5_739_904 + conv(2048, 512, 3) + 512 + conv(512, 19, bias=True) + auxiliary_count(512, 19, bias=True),
        ),
        ("dual_attention", {}, 23_954_619),
        ("criss_cross", {}, 23_934_100 + auxiliary_count(512, 19, bias=True)),
    ],
)
def test_on_a_resnet_of_bottlenecks_the_heads_have_their_authors_parameters(head, options, count):
    wide = small((256, 512, 1024, 2048), (465, 465, 3))
    # The defaults; the backbone's own parameters are those of all but the head.
    model = HEADS[head][0](backbone=wide, **options)
    own = sum(math.prod(w.shape) for w in wide.trainable_weights)
    assert sum(math.prod(w.shape) for w in model.trainable_weights) - own == count


@pytest.mark.parametrize("head", slow_but("encoding"))
def test_a_step_of_training_lowers_the_loss(head):
    model = network(head, classifier_activation=None)
    model.compile(keras.optimizers.Adam(1e-2), run_eagerly=True, **segmentation_losses(model))
    x, y = pixels((2, SIZE, SIZE, 3)), dict.fromkeys(model.output, labels())
    losses = [float(model.train_on_batch(x, y)[0]) for _ in range(3)]
    assert np.all(np.isfinite(losses)) and losses[-1] < losses[0]


def test_losses_are_weighed_as_in_the_releases():
    weights = {head: segmentation_losses(network(head))["loss_weights"] for head in ("psa", "dual_attention")}
    assert weights["psa"] == {"predictions": 1.0, "auxiliary_predictions": 0.4}
    assert weights["dual_attention"] == dict.fromkeys(HEADS["dual_attention"][2], 1.0)
    model = network("encoding")
    chosen = segmentation_losses(model)["loss_weights"]
    assert chosen == {"predictions": 1.0, "auxiliary_predictions": 0.2, "presence_logits": 0.2}
    chosen = segmentation_losses(model, auxiliary_weight=0.4, presence_weight=0.1)["loss_weights"]
    assert chosen == {"predictions": 1.0, "auxiliary_predictions": 0.4, "presence_logits": 0.1}


def test_the_loss_leaves_out_ignored_pixels_and_knows_logits():
    model = network("psa", auxiliary=False, classifier_activation=None)
    loss = segmentation_losses(model)["loss"]
    y = np.array([[0, 255]])
    logits = np.array([[[2.0, 0.0], [-9.0, 9.0]]], "float32")
    assert float(loss(y, logits)) == pytest.approx(math.log(1 + math.exp(-2)), rel=1e-5)
    with pytest.raises(ValueError, match="no loss here for predictions with the activation sigmoid"):
        segmentation_losses(network("psa", auxiliary=False, classifier_activation="sigmoid"))


@pytest.mark.parametrize("head", [h for h in slow_but("criss_cross") if h.values[0] != "psa"])
def test_images_of_any_size_are_taken(head):
    fixed, free = network(head, auxiliary=False), network(head, small(shape=(None, None, 3)), auxiliary=False)
    randomise(fixed)
    free.set_weights(fixed.get_weights())
    x = pixels((1, SIZE, SIZE, 3))
    assert largest_difference(free(x), fixed(x)) < 1e-4
    assert tuple(free(pixels((1, 40, 27, 3))).shape) == (1, 40, 27, 5)


def test_psa_belongs_to_a_size_unless_its_mask_is_given():
    with pytest.raises(ValueError, match="give mask_size or a fixed size"):
        network("psa", small(shape=(None, None, 3)))
    free = network("psa", small(shape=(None, None, 3)), mask_size=(5, 5), auxiliary=False)
    assert tuple(free(pixels((1, 40, 27, 3))).shape) == (1, 40, 27, 5)


@pytest.mark.parametrize("form", ["pyramid", "asp"])
def test_ocnet_has_its_other_forms(form):
    model = network("object_context", form=form)
    randomise(model)
    y = ops.convert_to_numpy(model(pixels((1, SIZE, SIZE, 3)))["predictions"])
    np.testing.assert_allclose(y.sum(-1), 1, rtol=1e-5)


def test_encnet_fuses_the_levels_before_on_request():
    model = network("encoding", lateral=True)
    assert model.get_layer("lateral_concat").output.shape[-1] == 3 * 8
    assert {"lateral-3", "lateral-2"} <= {layer.name for layer in model.layers}


def test_a_backbone_given_by_name_takes_pixels_or_not():
    options = {"backbone": "resnet20", "output_stride": 4, "input_shape": (17, 17, 3), "auxiliary": False}
    model = criss_cross(classes=3, **options)
    assert model.get_layer("normalise") and tuple(model.output.shape) == (None, 17, 17, 3)
    bare = criss_cross(include_preprocessing=False, **options)
    assert "normalise" not in {layer.name for layer in bare.layers}


def test_a_backbone_given_as_a_model_keeps_its_weights():
    trained = small()
    randomise(trained)
    model = criss_cross(backbone=trained, output_stride=8, auxiliary=False)
    x = pixels((1, SIZE, SIZE, 3))
    level = keras.Model(model.input, model.get_layer("C3").output)
    assert largest_difference(level(x), features(trained, "C3")(x)["C3"]) == 0


@pytest.mark.parametrize("head", slow_but("encoding"))
def test_weights_survive_saving_and_other_classes_renew_the_classifiers_only(head, tmp_path, caplog):
    model, x = random_network(head), pixels((1, SIZE, SIZE, 3))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert largest_difference(loaded(x), model(x)) < 1e-5
    again = network(head, weights=tmp_path / "model.keras")
    assert largest_difference(again(x), model(x)) == 0
    build, own, _ = HEADS[head]
    other = build(backbone=small(), classes=3, weights=tmp_path / "model.keras", **own)
    assert "logits" in caplog.text
    kept = {w.path: w for w in other.weights}
    for weight in model.weights:
        if "logits" not in weight.path and "presence" not in weight.path:
            np.testing.assert_array_equal(ops.convert_to_numpy(weight), ops.convert_to_numpy(kept[weight.path]))


@pytest.mark.parametrize(
    ("head", "options", "message"),
    [
        ("psa", {"backbone": 3}, "backbone must be the name of a zoo model, or a model. Received: 3"),
        ("psa", {"backbone": "resnet21"}, "Unknown model 'resnet21'"),
        ("psa", {"backbone": "resnet20"}, "resnet20_features has a stride of 4 and no more: take output_stride=4"),
        ("criss_cross", {"classes": 0}, "classes must be an integer of at least 1"),
        ("object_context", {"form": "round"}, 'form must be "base", "pyramid" or "asp"'),
        ("dual_attention", {"weights": "cityscapes"}, "does not exist for dual_attention"),
    ],
)
def test_bad_options_are_named(head, options, message):
    with pytest.raises(ValueError, match=message):
        HEADS[head][0](**{"backbone": small(), "input_shape": (SIZE, SIZE, 3), **options})


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in BACKBONES if not name.startswith("attention")])
def test_every_head_stands_on_every_backbone(name):
    cifar = BACKBONES[name].input_shape[0] == 32
    size = 97 if name == "inception_resnet_v2" else 17 if cifar else SIZE
    backbone = create(name, include_top=False, input_shape=(size, size, 3))
    x = pixels((1, size, size, 3))
    for head in HEADS:
        model = network(head, backbone, output_stride=4 if cifar else 8, auxiliary=False)
        y = ops.convert_to_numpy(model(x))
        assert y.shape == (1, size, size, 5)
        np.testing.assert_allclose(y.sum(-1), 1, rtol=1e-4)
