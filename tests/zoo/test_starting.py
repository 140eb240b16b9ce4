"""`start="identity"`: the plain network's weights, and gates that change nothing until they are trained."""

import keras
import numpy as np
import pytest
from support.models import largest_difference, pixels, randomise, trainable
from support.sweeps import one_a_site, swept

from kattn.zoo import catalog, create, info, save_weights
from kattn.zoo.attentions.table import ATTENTIONS
from kattn.zoo.grammar.sites import replaces_convolutions
from kattn.zoo.weights import manifest

X = pixels((2, 8, 8, 3))
SHORT = {"depths": (1, 2, 1), "input_shape": (8, 8, 3)}
NEUTRAL = [name for name, one in ATTENTIONS.items() if one.used_sites() and not replaces_convolutions(one.used_sites())]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A plain network with random statistics, and its file."""
    model = create("resnet20", mean=(0.1, 0.2, 0.3), **SHORT)
    randomise(model)
    return model, save_weights(model, tmp_path_factory.mktemp("plain") / "plain.weights.h5")


def first(outputs):
    return outputs["predictions"] if isinstance(outputs, dict) else outputs


@pytest.mark.parametrize("name", swept([*NEUTRAL, "abn_se"], {*one_a_site(), "abn_se"}))
def test_the_network_gives_what_the_plain_one_gives(name, plain):
    model, path = plain
    started = create(f"{name}_resnet20", weights=path, start="identity", input_shape=(8, 8, 3))
    assert largest_difference(first(started(X)), model(X)) == 0


def test_its_gates_learn(plain):
    model = create("se_resnet20", weights=plain[1], start="identity", input_shape=(8, 8, 3))
    model.compile("sgd", "sparse_categorical_crossentropy")
    for _ in range(2):
        before = model.get_layer("stage1_block1_squeeze_excite").get_weights()
        model.train_on_batch(X, np.array([0, 1]))
    assert float(model.get_layer("stage1_block1_squeeze_excite_scale").scale) != 0
    assert any(
        (a != b).any()
        for a, b in zip(before, model.get_layer("stage1_block1_squeeze_excite").get_weights(), strict=True)
    )


def test_what_it_was_trained_to_is_saved_and_read(plain, tmp_path):
    model = create("se_resnet20", weights=plain[1], start="identity", classes=4, input_shape=(8, 8, 3))
    randomise(model)
    path = save_weights(model, tmp_path / "se.weights.h5")
    for options in ({}, {"start": "identity"}):
        again = create("se_resnet20", weights=path, input_shape=(8, 8, 3), **options)
        assert largest_difference(again(X), model(X)) == 0


def test_frozen_stages_keep_the_weights_and_train_the_gates(plain):
    model = create("se_resnet20", weights=plain[1], start="identity", freeze=3, input_shape=(8, 8, 3))
    assert not model.get_layer("stage2_block1_conv1").trainable
    assert model.get_layer("stage2_block1_squeeze_excite").trainable and trainable(model) > 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("afi_resnet20", r"takes the place of convolutions \(first_conv\)"),
        ("sk_resnet20", r"convolutions \(spatial_conv\)"),
    ],
)
def test_what_cannot_be_undone_is_refused(name, message, plain):
    with pytest.raises(ValueError, match=message):
        create(name, weights=plain[1], start="identity")


def test_the_plain_network_begins_as_itself(plain):
    """So that a comparison with it has the same options for all."""
    started = create("resnet20", weights=plain[1], start="identity", input_shape=(8, 8, 3))
    assert largest_difference(started(X), plain[0](X)) == 0


def test_another_start_is_refused():
    with pytest.raises(ValueError, match=r"start must be None or \"identity\". Received: start='paper'"):
        create("se_resnet20", start="paper")


def test_packaged_weights_are_those_of_the_plain_network():
    x = pixels((2, 32, 32, 3))
    assert (
        largest_difference(
            create("se_resnet20", weights="cifar10", start="identity")(x), create("resnet20", weights="cifar10")(x)
        )
        == 0
    )
    assert info("eca_resnet20").identity_weights == tuple(manifest.tags("resnet20"))
    assert 'start="identity": weights cifar10' in str(info("eca_resnet20"))
    assert info("afi_se_resnet20").identity_weights == info("resnet20").identity_weights == ()


def test_published_weights_of_other_collections_too(monkeypatch, tmp_path):
    """The manifest's entry of the plain network decides options, normalisation and classes."""
    model = create("resnet20", mean=(0.5, 0.5, 0.5), std=(0.3, 0.3, 0.3), shortcut="A", **SHORT)
    randomise(model)
    path = save_weights(model, tmp_path / "a.weights.h5", about={})
    entry = next(iter(manifest.tags("resnet20").values()))
    options = {"shortcut": "A", "depths": SHORT["depths"]}
    values = {"tag": "toy.x", "options": options, "mean": (0.5,) * 3, "std": (0.3,) * 3, "classes": 10}
    import dataclasses

    made = dataclasses.replace(entry, **values, file=str(path), hub="", url="")
    monkeypatch.setitem(manifest.entries(), "resnet20", {"toy.x": made})
    monkeypatch.setattr("kattn.zoo.weights.finding.fetch", lambda entry, cache: path)
    started = create("cbam_resnet20", weights="toy.x", start="identity", input_shape=(8, 8, 3))
    assert largest_difference(started(X), model(X)) == 0


@pytest.mark.parametrize("weights", ["file", "keras", "nothing.there"])
def test_the_error_of_other_weights_suggests_it(weights, plain, tmp_path):
    model, path = plain
    if weights == "keras":
        path = tmp_path / "plain.keras"
        model.save(path)
    given = path if weights != "nothing.there" else weights
    with pytest.raises(ValueError, match=r'Weights of resnet20 go into se_resnet20 with start="identity"'):
        create("se_resnet20", weights=given, **SHORT)
    with pytest.raises(ValueError) as got:
        create("afi_resnet20", weights=given, **SHORT)
    assert "start=" not in str(got.value)


def test_the_catalogue_knows_which_attentions_replace_convolutions():
    assert {name for name, one in ATTENTIONS.items() if replaces_convolutions(one.used_sites())} == catalog.REPLACING


def test_without_weights_too():
    model = create("bam_resnet20", start="identity", **SHORT)
    assert [layer.name for layer in model.layers if type(layer).__name__ == "ReZero"] == [
        "stage1_bottleneck_attention_scale",
        "stage2_bottleneck_attention_scale",
    ]
    assert keras.ops.max(abs(model.get_layer("stage1_bottleneck_attention_scale").scale)) == 0
