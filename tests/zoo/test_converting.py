"""Weights of other collections into models of the zoo: what the file tells is found, the rest is said."""

import re

import h5py
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from support.checkpoints import SIZE, SMALL, network, same

import kattn
from kattn.zoo.weights.files.state_dict import to_state_dict
from kattn.zoo.weights.pairing import Mismatch


@pytest.fixture(scope="module")
def model():
    """A CIFAR ResNet with parameter-free shortcuts, as most public files are of."""
    return network(shortcut="A")


@pytest.fixture(scope="module")
def state(model):
    """As akamaster's repository stores it."""
    state = to_state_dict(model, "authors.cifar_resnet")
    return {f"module.{key}": value for key, value in state.items()}


def convert(source, name="resnet20", **options):
    return kattn.zoo.convert(source, name, **SMALL | options)


def test_prefix_head_classes_and_shortcuts_are_found(model, state, tmp_path):
    save_file(state, tmp_path / "a.safetensors")
    assert same(model, convert(tmp_path / "a.safetensors", out=tmp_path / "a.weights.h5"))
    # The file remembers that the shortcuts are parameter-free and the classes seven.
    assert same(model, kattn.zoo.create("resnet20", weights=tmp_path / "a.weights.h5"))


def test_a_file_of_another_collection_is_a_weights_argument(model, state, tmp_path):
    save_file(state, tmp_path / "a.safetensors")
    assert same(model, kattn.zoo.resnet20(weights=tmp_path / "a.safetensors", shortcut="A", **SMALL))
    with pytest.raises(ValueError, match='no weights in its shortcuts: build the model with shortcut="A"'):
        kattn.zoo.resnet20(weights=tmp_path / "a.safetensors", **SMALL)


def test_the_normalisation_is_remembered(state, tmp_path):
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    convert(state, out=tmp_path / "a.weights.h5", mean=mean, std=std)
    layer = kattn.zoo.resnet20(weights=tmp_path / "a.weights.h5").get_layer("normalise")
    np.testing.assert_allclose(layer.scale, [1 / (255 * s) for s in std])


def test_counters_of_torch_need_no_place(model, state):
    assert same(model, convert(state | {"module.bn1.num_batches_tracked": np.array(1)}))


def test_missing_unexpected_and_differing_tensors_stand_side_by_side(state):
    wrong = dict(state)
    del wrong["module.bn1.weight"]
    wrong["module.extra.weight"] = np.zeros(3, "float32")
    wrong["module.layer1.0.conv1.weight"] = np.zeros((16, 8, 3, 3), "float32")
    with pytest.raises(Mismatch) as caught:
        convert(wrong, shortcut="A")
    assert "missing in the file (1): stem_conv_bn/gamma (bn1.weight" in str(caught.value)
    assert "not in the model (1): extra.weight" in str(caught.value)
    assert re.search(r"of another shape \(1\): stage1_block1_conv1/kernel: file .* \(16, 8, 3, 3\)", str(caught.value))


def test_tf2cv_files_repeat_their_scopes(tmp_path):
    model = network()
    suffixes = {"weight": "kernel:0", "bias": "bias:0"}
    norms = {"weight": "gamma:0", "bias": "beta:0", "running_mean": "moving_mean:0", "running_var": "moving_variance:0"}
    arrays = {}
    for key, value in to_state_dict(model, "osmr.resnet").items():
        *scopes, last = key.split(".")
        norm = scopes[-1] == "bn"
        value = value.transpose(2, 3, 1, 0) if value.ndim == 4 else value.T
        scopes = [scopes[0], *scopes] if scopes[0] == "features" else scopes
        scopes = [*scopes, "conv"] if scopes[-1] == "conv" else scopes
        arrays["/".join(["cifar_res_net", *scopes, (norms if norm else suffixes)[last]])] = value
    with h5py.File(tmp_path / "a.tf2.h5", "w") as file:  # as Keras 2 lays it out
        file.attrs["layer_names"] = [b"features"]
        file.create_group("features").attrs["weight_names"] = [name.encode() for name in arrays]
        for name, value in arrays.items():
            file[f"features/{name}"] = value
    assert same(model, convert(tmp_path / "a.tf2.h5"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"out": "a.h5"}, r"out must end in \.weights\.h5"),
        ({"dialect": "nobody"}, r"Unknown dialect 'nobody'.*timm\.resnet"),
        ({"model": "resnet21"}, "Closest: .*resnet20"),
    ],
)
def test_bad_arguments_are_named(state, arguments, message):
    with pytest.raises(ValueError, match=message):
        kattn.zoo.convert(state, **{"model": "resnet20"} | arguments)


def test_the_command_converts_there_and_back(model, state, tmp_path, capsys):
    from kattn.cli.main import main

    source, ours, theirs = (str(tmp_path / name) for name in ("a.safetensors", "a.weights.h5", "b.safetensors"))
    save_file(state, source)
    small = ["--set", "depths=(1, 1, 1)", "--set", f"input_shape={SIZE}"]
    assert main(["convert", source, "--model", "resnet20", "--out", ours, "--std", "0.2,0.2,0.2", *small]) == 0
    assert "each in its place" in capsys.readouterr().out
    assert main(["convert", ours, "--model", "resnet20", "--out", theirs, "--dialect", "authors.cifar_resnet"]) == 0
    back = load_file(theirs)
    assert {f"module.{key}" for key in back} == set(state)
    assert all(np.array_equal(back[key.removeprefix("module.")], value) for key, value in state.items())
