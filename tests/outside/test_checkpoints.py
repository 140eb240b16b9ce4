"""Checkpoints as they are in the world: heads of any name or none, wrappers' prefixes, averages beside the weights."""

import logging
import pickle
import sys
import types

import keras
import numpy as np
import pytest
from safetensors.numpy import save_file
from support.checkpoints import SMALL, network, same
from support.logs import said
from support.models import largest_difference, pixels, randomise

import kattn
from kattn.layers.pieces.widths import hidden_width
from kattn.zoo.weights.files.foreign_files import open_tensors
from kattn.zoo.weights.files.state_dict import to_state_dict
from kattn.zoo.weights.naming.recognition import MOST_CLASSES, count_classes

HALF = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}  # what keras.applications' MobileNetV2 takes: -1 to 1


@pytest.fixture(scope="module")
def model():
    return network()


@pytest.fixture(scope="module")
def state(model):
    """As torchvision names it, with the head called fc."""
    return to_state_dict(model, "timm.resnet")


def renamed(state, old, new):
    return {key.replace(old, new, 1) if key.startswith(old) else key: value for key, value in state.items()}


def same_body(model, other):
    found = {weight.path: weight for weight in other.weights}
    return all(np.array_equal(one, found[one.path]) for one in model.weights if not one.path.startswith("logits/"))


# ---------------------------------------------------------------- keras.applications with a head of one's own


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """The file that most people have: a nested network of keras.applications behind a new classifier."""
    folder = tmp_path_factory.mktemp("tuned")
    base = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(32, 32, 3), alpha=0.35)
    image = keras.Input((32, 32, 3))
    x = keras.layers.Dropout(0.2)(keras.layers.GlobalAveragePooling2D()(base(image)))
    model = keras.Model(image, keras.layers.Dense(19, activation="softmax")(x))
    randomise(model)
    for name in ("m.h5", "m.keras", "m.weights.h5"):
        (model.save_weights if name.endswith(".weights.h5") else model.save)(folder / name)
    return folder, model


@pytest.mark.parametrize("name", ["m.h5", "m.keras", "m.weights.h5", "the model"])
def test_a_nested_network_and_its_head_are_found(tuned, name, caplog):
    folder, model = tuned
    source = model if name == "the model" else folder / name
    options = {"alpha": 0.35, "padding": "end", "input_shape": (32, 32, 3)}
    ours = kattn.zoo.convert(source, "mobilenet_v2", **HALF, **options)
    x = pixels((2, 32, 32, 3))
    assert ours.output_shape == (None, 19) and largest_difference(ours(x), model(x / 127.5 - 1)) < 1e-5
    assert said(caplog) == []


def test_the_error_of_a_weights_argument_leads_to_convert(tuned):
    with pytest.raises(ValueError, match=r"another collection: kattn\.zoo\.convert\(file, 'mobilenet_v2'\)"):
        kattn.zoo.mobilenet_v2(alpha=0.35, input_shape=(32, 32, 3), weights=tuned[0] / "m.keras")


def test_what_pixels_are_normalised_with_is_said_where_nobody_did(state, caplog):
    kattn.zoo.convert(state, "resnet20", **SMALL)
    assert "normalised with mean (0.4914, 0.4822, 0.4465) and std" in caplog.text and "mean= and std=" in caplog.text


# ---------------------------------------------------------------- heads


@pytest.mark.parametrize("head", ["fc.1.", "head.fc.", "my_scores."])
def test_a_head_of_any_name_is_loaded(model, state, head):
    assert same(model, kattn.zoo.convert(renamed(state, "fc.", head), "resnet20", **SMALL))


@pytest.mark.parametrize("head", ["fc.1.", "head.fc.", None])
def test_another_head_or_none_leaves_it_new_and_says_so_once(model, state, head, tmp_path, caplog):
    other = renamed(state, "fc.", head) if head else {k: v for k, v in state.items() if not k.startswith("fc.")}
    save_file(other, tmp_path / "a.safetensors")
    with caplog.at_level(logging.WARNING, logger="kattn"):
        ours = kattn.zoo.resnet20(weights=tmp_path / "a.safetensors", classes=3, **SMALL)
    assert ours.output_shape == (None, 3) and same_body(model, ours)
    assert len(caplog.records) == 1 and "new layers logits" in caplog.text
    assert kattn.zoo.convert(other, "resnet20", classes=3, **SMALL).output_shape == (None, 3)


def test_a_head_of_several_layers_is_left_out_by_name(model, state, tmp_path, caplog):
    more = renamed(state, "fc.", "fc.10.")  # a file may have its names in another order than the layers
    more |= {"fc.2.weight": np.ones((64, 64), "float32"), "fc.2.bias": np.ones(64, "float32")}
    more |= {f"fc.3.{name}": np.ones(64, "float32") for name in ("weight", "bias", "running_mean", "running_var")}
    save_file(more, tmp_path / "a.safetensors")
    ours = kattn.zoo.resnet20(weights=tmp_path / "a.safetensors", **SMALL)
    assert ours.output_shape == (None, 7) and same_body(model, ours)
    assert len(caplog.records) == 1 and "left out of the file (8): fc.10.bias" in caplog.text
    with pytest.raises(ValueError, match=r"fc\.2\.weight"):  # the whole file was asked for
        kattn.zoo.convert(more, "resnet20", **SMALL)


def test_a_file_without_head_converts_without_one_or_says_how(model, state):
    body = {key: value for key, value in state.items() if not key.startswith("fc.")}
    with pytest.raises(ValueError, match=r"no head of this kind: classes=\.\.\. builds a new one, include_top=False"):
        kattn.zoo.convert(body, "resnet20", **SMALL)
    assert same_body(model, kattn.zoo.convert(body, "resnet20", include_top=False, **SMALL))


@pytest.mark.parametrize("head", ["fc.", "fc.1."])
def test_without_its_top_a_model_takes_a_file_with_any_head(state, head, tmp_path):
    save_file(renamed(state, "fc.", head), tmp_path / "a.safetensors")
    ours = kattn.zoo.resnet20(weights=tmp_path / "a.safetensors", include_top=False, **SMALL)
    np.testing.assert_array_equal(np.asarray(ours.get_layer("stem_conv_bn").gamma), state["bn1.weight"])


def test_gates_are_no_head_and_are_not_left_out(tmp_path):
    """A senet's dense layers in a plain network: leaving them out would change the network."""
    gated = to_state_dict(kattn.zoo.se_resnet20(classes=7, **SMALL), "authors.se_linear")
    save_file(gated, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"not in the model \(12\): layer1\.0\.se\.fc\.0\.bias"):
        kattn.zoo.resnet20(weights=tmp_path / "a.safetensors", classes=3, **SMALL)


def test_a_body_of_another_shape_is_refused_whatever_its_head(state, tmp_path):
    wrong = renamed(state, "fc.", "fc.1.") | {"layer1.0.conv1.weight": np.zeros((16, 16, 5, 5), "float32")}
    save_file(wrong, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"of another shape \(1\)"):
        kattn.zoo.resnet20(weights=tmp_path / "a.safetensors", classes=3, **SMALL)


def test_more_classes_than_anybody_means_are_not_built_unasked():
    shapes = {"fc.weight": (MOST_CLASSES + 1, 4), "fc.bias": (MOST_CLASSES + 1,)}
    with pytest.raises(ValueError, match=r"100,001 classes; more than 100,000 .* classes=100001"):
        count_classes(shapes)


# ---------------------------------------------------------------- gates


WIDE = {"depths": (1, 1, 1), "widths": (32, 64, 256), "input_shape": (16, 16, 3), "classes": 7}


def hidden_widths(model):
    return [layer.reduce.filters for layer in model.layers if layer.name.endswith("squeeze_excite")]


def test_widths_that_were_rounded_as_timm_does_are_found(tmp_path):
    """timm's SE-ResNets have hidden widths of 8, 8 and 16, where 1/16 of the channels are 2, 4 and 16."""
    model = kattn.zoo.se_resnet20(divisor=8, **WIDE)
    randomise(model)
    assert hidden_widths(model) == [8, 8, 16]
    options = {name: WIDE[name] for name in ("depths", "widths", "input_shape")}
    state = to_state_dict(model, "timm.resnet")
    ours = kattn.zoo.convert(state, "se_resnet20", out=tmp_path / "m.weights.h5", **options)
    again = kattn.zoo.se_resnet20(weights=tmp_path / "m.weights.h5")
    assert hidden_widths(again) == [8, 8, 16] and {
        layer.divisor for layer in again.layers if "squeeze" in layer.name
    } == {8}
    assert same(model, ours) and same(model, again)


def test_widths_that_were_not_rounded_stay_so_and_others_are_refused_with_the_options():
    model = kattn.zoo.se_resnet20(**WIDE)
    ours = kattn.zoo.convert(to_state_dict(model, "timm.resnet"), "se_resnet20", **WIDE)
    assert hidden_widths(ours) == [2, 4, 16]
    other = to_state_dict(kattn.zoo.se_resnet20(reduction=2, **WIDE), "timm.resnet")
    with pytest.raises(ValueError, match=r"other widths: see reduction, and divisor=8 of timm's SE-networks"):
        kattn.zoo.convert(other, "se_resnet20", **WIDE)


@pytest.mark.parametrize(("channels", "reduction", "width"), [(64, 16, 8), (320, 16, 24), (16, 16, 8), (192, 16, 16)])
def test_rounding_is_that_of_make_divisible(channels, reduction, width):
    assert hidden_width(channels, reduction, 8) == width


# ---------------------------------------------------------------- what training programs put around


def wrapped(state, prefix, **others):
    return {prefix + key: value for key, value in state.items()} | {
        name.replace("__", "."): np.ones(shape, "float32") for name, shape in others.items()
    }


@pytest.mark.parametrize(
    ("prefix", "others"),
    [
        ("module.", {"n_averaged": ()}),  # torch's AveragedModel
        ("model.", {"criterion__weight": (7,)}),  # Lightning
        ("module.module.", {"n_averaged": ()}),  # DDP inside EMA
        ("_orig_mod.module.", {}),  # compiled DDP
        ("net.", {"metric__total": (), "loss__centers": (7, 64)}),
    ],
)
def test_wrappers_are_taken_off_and_what_is_beside_is_left_out(model, state, prefix, others, caplog):
    ours = kattn.zoo.convert(wrapped(state, prefix, **others), "resnet20", mean=(0, 0, 0), std=(1, 1, 1), **SMALL)
    assert same_body(model, ours) and np.array_equal(ours.get_layer("logits").bias, model.get_layer("logits").bias)
    assert len(caplog.records) == bool(others)
    for name in others:
        assert name.replace("__", ".") in caplog.text


def test_a_head_beside_the_body_is_found(model, state):
    """mmpretrain: backbone.conv1 ..., head.fc."""
    head = {key.replace("fc.", "head.fc."): value for key, value in state.items() if key.startswith("fc.")}
    body = {f"backbone.{key}": value for key, value in state.items() if not key.startswith("fc.")}
    assert same(model, kattn.zoo.convert(body | head, "resnet20", **SMALL))


def test_a_networks_own_first_names_are_no_wrapper():
    """torchvision's MobileNetV2 is features.* and classifier.1."""
    model = kattn.zoo.mobilenet_v2(alpha=0.1, classes=3, input_shape=(32, 32, 3))
    state = to_state_dict(model, "torchvision")
    with open_tensors(wrapped(state, "model.", criterion__weight=(3,))) as tensors:
        assert tensors.shapes.keys() - tensors.outside == state.keys() and tensors.outside == {"criterion.weight"}
        assert count_classes(tensors.shapes) == 3


# ---------------------------------------------------------------- checkpoints of torch


def test_averaged_weights_are_a_choice(model, state, caplog):
    other = {key: value + 1 for key, value in state.items()}
    checkpoint = {"state_dict": state, "state_dict_ema": other, "epoch": 3, "optimizer": {"state": {}}}
    with open_tensors(checkpoint) as tensors:
        np.testing.assert_array_equal(tensors.read("bn1.weight"), state["bn1.weight"])
    assert "state_dict was taken; the averaged weights are state_dict_ema: ema=True" in caplog.text
    caplog.clear()
    with open_tensors(checkpoint, ema=True) as tensors:
        np.testing.assert_array_equal(tensors.read("bn1.weight"), other["bn1.weight"])
    assert "state_dict_ema was taken; the trained weights are state_dict" in caplog.text
    with pytest.raises(ValueError, match=r"holds no averaged weights .*: leave ema out"):
        kattn.zoo.convert(state, "resnet20", ema=True)


def test_the_object_that_stands_in_the_way_is_named_with_the_lines_that_help(tmp_path, monkeypatch):
    def load(*_, **__):
        raise pickle.UnpicklingError(
            "\x1b[1mWeights only load failed.\x1b[0m In PyTorch 2.6 ...\n\tWeightsUnpickler error: Unsupported global: "
            "GLOBAL argparse.Namespace was not an allowed global by default. Please use ..."
        )

    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(load=load, __version__="2.9.1"))
    (tmp_path / "net.pth.tar").write_bytes(b"")
    with pytest.raises(ValueError, match=r"holds an object argparse\.Namespace beside its tensors") as caught:
        kattn.zoo.convert(tmp_path / "net.pth.tar", "resnet20")
    assert "\x1b" not in str(caught.value)
    assert '\n  content = torch.load("net.pth.tar", map_location="cpu", weights_only=False)\n' in str(caught.value)
    assert str(caught.value).endswith('torch.save(content["state_dict"], "net_weights.pth")')
