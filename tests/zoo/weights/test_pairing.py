"""Weights of other collections: every tensor in its place, or an error that says which is not."""

import re
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from support.models import largest_difference, pixels, randomise

import kattn
from kattn.zoo.weights.assigning import load_tensors
from kattn.zoo.weights.dialects import dialects
from kattn.zoo.weights.foreign_files import open_tensors
from kattn.zoo.weights.manifest import entries
from kattn.zoo.weights.pairing import Mismatch
from kattn.zoo.weights.state_dict import to_state_dict


@pytest.fixture(scope="module")
def model():
    """A CIFAR ResNet with parameter-free shortcuts, as most public files are of."""
    one = kattn.zoo.resnet20(shortcut="A", classes=7)
    randomise(one)
    return one


@pytest.fixture(scope="module")
def state(model):
    """As akamaster's repository stores it."""
    state = to_state_dict(model, "authors.cifar_resnet")
    return {f"module.{key}": value for key, value in state.items()}


def same(model, other):
    x = pixels((2, 32, 32, 3))
    return largest_difference(model(x), other(x)) == 0


def test_names_and_layouts_are_the_other_collections(state):
    assert state["module.layer2.0.conv1.weight"].shape == (32, 16, 3, 3)
    assert state["module.linear.weight"].shape == (7, 64)
    assert "module.bn1.running_var" in state and not any("downsample" in key for key in state)


def test_prefix_head_classes_and_shortcuts_are_found(model, state, tmp_path):
    save_file(state, tmp_path / "a.safetensors")
    other = kattn.zoo.convert(tmp_path / "a.safetensors", "resnet20", out=tmp_path / "a.weights.h5")
    assert same(model, other)
    # The file remembers that the shortcuts are parameter-free and the classes seven.
    assert same(model, kattn.zoo.create("resnet20", weights=tmp_path / "a.weights.h5"))


def test_a_file_of_another_collection_is_a_weights_argument(model, state, tmp_path):
    save_file(state, tmp_path / "a.safetensors")
    assert same(model, kattn.zoo.resnet20(weights=tmp_path / "a.safetensors", shortcut="A"))
    with pytest.raises(ValueError, match='no weights in its shortcuts: build the model with shortcut="A"'):
        kattn.zoo.resnet20(weights=tmp_path / "a.safetensors")


def test_the_normalisation_is_remembered(state, tmp_path):
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    kattn.zoo.convert(state, "resnet20", out=tmp_path / "a.weights.h5", mean=mean, std=std)
    layer = kattn.zoo.resnet20(weights=tmp_path / "a.weights.h5").get_layer("normalise")
    np.testing.assert_allclose(layer.scale, [1 / (255 * s) for s in std])


def test_counters_of_torch_need_no_place(model, state):
    counted = state | {"module.bn1.num_batches_tracked": np.array(1)}
    assert same(model, kattn.zoo.convert(counted, "resnet20"))


def test_missing_unexpected_and_differing_tensors_stand_side_by_side(state):
    wrong = dict(state)
    del wrong["module.bn1.weight"]
    wrong["module.extra.weight"] = np.zeros(3, "float32")
    wrong["module.layer1.0.conv1.weight"] = np.zeros((16, 8, 3, 3), "float32")
    with pytest.raises(Mismatch) as caught:
        kattn.zoo.convert(wrong, "resnet20", shortcut="A")
    assert "missing in the file (1): stem_conv_bn/gamma (bn1.weight" in str(caught.value)
    assert "not in the model (1): extra.weight" in str(caught.value)
    assert re.search(r"of another shape \(1\): stage1_block1_conv1/kernel: file .* \(16, 8, 3, 3\)", str(caught.value))


def test_nothing_is_assigned_where_something_is_wrong(state):
    other = kattn.zoo.resnet20(shortcut="A", classes=7)
    before = other.get_layer("stem_conv").get_weights()[0]
    wrong = {key: value for key, value in state.items() if "linear" not in key}
    with pytest.raises(Mismatch):
        load_tensors(other, wrong)
    np.testing.assert_array_equal(before, other.get_layer("stem_conv").get_weights()[0])


def test_the_same_tensor_is_not_used_twice():
    """SE's gate in a file of the plain network: nothing else fills its place."""
    plain = to_state_dict(kattn.zoo.resnet20(depths=(1, 1, 1)))
    with pytest.raises(Mismatch, match=r"missing in the file \(12\): stage1_block1_squeeze_excite"):
        load_tensors(kattn.zoo.se_resnet20(depths=(1, 1, 1)), plain)


@pytest.mark.parametrize(
    ("name", "options", "dialect"),
    [
        ("resnet20", {}, None),
        ("resnet20", {}, "osmr"),
        ("se_resnet20", {}, "authors.se_linear"),
        ("cbam_resnet20", {}, "timm"),
        ("cbam_resnet20", {}, "authors.attention_module"),
        ("cbam_resnet20", {}, "osmr"),
        ("bam_resnet20", {}, "authors.attention_module"),
        ("bam_resnet20", {}, "osmr.bam_resnet"),
        ("eca_resnet20", {}, "authors.eca"),
        ("sk_resnet20", {"split_input": True}, "timm"),
        ("splat_resnet20", {}, "timm"),
        (
            "gc_resnet50",
            {"stem_widths": (4, 4, 8), "stem_pool": "conv", "position": "inner", "stages": (1, 2, 3, 4)},
            None,
        ),
        ("resnet18", {"stem_widths": (4, 4, 8), "shortcut": "D"}, "timm"),
        ("mobilenet_v2", {"alpha": 0.1}, "timm"),
        pytest.param("mobilenet_v2", {"alpha": 0.1}, "torchvision", marks=pytest.mark.slow),
    ],
)
def test_there_and_back_is_the_same_network(name, options, dialect):
    small = {"depths": (1, 1, 1)} if name.endswith("20") else {"depths": (1, 1, 1, 1), "widths": (8, 8, 16, 16)}
    small = {} if name == "mobilenet_v2" else small
    options = {"classes": 3, "input_shape": (32, 32, 3), "classifier_activation": None} | options | small
    first, second = (kattn.zoo.create(name, **options) for _ in range(2))
    randomise(first)
    state = to_state_dict(first, dialect)
    load_tensors(second, state)
    for ours, theirs in zip(first.weights, second.weights, strict=True):
        if "seed" not in ours.path:
            np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs), err_msg=ours.path)


def test_a_network_without_names_elsewhere_says_so():
    with pytest.raises(ValueError, match=r"no names for these layers of afi_resnet20: .*integrate"):
        to_state_dict(kattn.zoo.afi_resnet20(depths=(2, 1, 1)))


def test_timm_takes_the_mean_before_the_maximum_in_cbam():
    model = kattn.zoo.cbam_resnet20(depths=(1, 1, 1))
    randomise(model)
    ours = model.get_layer("stage1_block1_cbam").spatial_conv.get_weights()[0]
    theirs = to_state_dict(model, "timm")["layer1.0.se.spatial.conv.conv.weight"]
    np.testing.assert_array_equal(theirs[0, 0], ours[:, :, 1, 0])
    np.testing.assert_array_equal(theirs[0, 1], ours[:, :, 0, 0])


def test_split_attention_of_two_groups_takes_their_order():
    """Theirs lies by group, then by split; ours has one convolution a split."""
    layer = kattn.zoo.splat_resnet20(depths=(1, 1, 1))
    theirs = to_state_dict(layer, "timm")["layer1.0.conv1.fc2.weight"]
    splits = layer.get_layer("stage1_block1_conv1_split_attention").select
    np.testing.assert_array_equal(theirs[:16, :, 0, 0], splits[0].get_weights()[0][0, 0].T)
    np.testing.assert_array_equal(theirs[16:, :, 0, 0], splits[1].get_weights()[0][0, 0].T)


def test_a_bias_before_a_normalisation_goes_into_its_mean():
    """keras.applications' ResNets; their stem takes BGR, and their normalisations add 1.001e-5."""
    small = {"depths": (1, 1, 1, 1), "widths": (4, 4, 8, 8), "classes": 3}
    ours = kattn.zoo.resnet50_v1(**small)
    table, rng, theirs = dialects()["keras_applications.resnet"], np.random.default_rng(0), {}
    for weight in ours.weights:
        theirs[table.find(weight.path, "keras").keys[0]] = rng.uniform(1, 2, weight.shape).astype("float32")
    theirs["conv2_block1_1_conv.bias"] = np.full(4, 0.25, "float32")
    load_tensors(ours, theirs)
    stem, norm = ours.get_layer("stem_conv"), ours.get_layer("stage1_block1_conv1_bn")
    np.testing.assert_array_equal(stem.get_weights()[0], theirs["conv1_conv.kernel"][:, :, ::-1])
    np.testing.assert_allclose(norm.moving_mean, theirs["conv2_block1_1_bn.moving_mean"] - 0.25)
    np.testing.assert_allclose(norm.moving_variance, theirs["conv2_block1_1_bn.moving_variance"] + 1e-8, rtol=1e-6)


def keras2_file(path, arrays):
    """A file as Keras 2 lays it out."""
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"features"]
        group = file.create_group("features")
        group.attrs["weight_names"] = [name.encode() for name in arrays]
        for name, value in arrays.items():
            group[name] = value


def test_tf2cv_files_repeat_their_scopes(tmp_path):
    model = kattn.zoo.resnet20(classes=5)
    randomise(model)
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
    keras2_file(tmp_path / "a.tf2.h5", arrays)
    assert same(model, kattn.zoo.convert(tmp_path / "a.tf2.h5", "resnet20"))


# ---------------------------------------------------------------- files that mean harm, or are broken


def test_a_pickle_needs_torch(tmp_path, monkeypatch):
    (tmp_path / "a.pth").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ValueError, match=r"only torch can read without executing it: pip install torch"):
        kattn.zoo.convert(tmp_path / "a.pth", "resnet20")


class _Harm:
    """Unpickled, it writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_a_pickle_is_not_executed(state, tmp_path):
    torch = pytest.importorskip("torch", reason="needs torch: pip install -e '.[parity]'")
    tensors = {name: torch.tensor(value) for name, value in state.items()}
    torch.save({"state_dict": tensors, "more": _Harm(str(tmp_path / "harm"))}, tmp_path / "a.pth")
    with pytest.raises(ValueError, match="holds more than tensors and was not loaded"):
        kattn.zoo.convert(tmp_path / "a.pth", "resnet20")
    assert not (tmp_path / "harm").exists()
    torch.save(tensors, tmp_path / "whole.pth")
    content = (tmp_path / "whole.pth").read_bytes()
    for part in (b"", b"nothing of the kind" * 10, content[: len(content) // 2]):
        (tmp_path / "part.pth").write_bytes(part)
        with pytest.raises(ValueError, match=r"not a readable file of torch|was not loaded"):
            kattn.zoo.convert(tmp_path / "part.pth", "resnet20")


@pytest.mark.parametrize("name", ["a.safetensors", "a.h5", "a.npz"])
def test_a_broken_file_is_an_error(tmp_path, name):
    for content in (b"", b"nothing of the kind" * 10):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match="not a readable"):
            kattn.zoo.convert(tmp_path / name, "resnet20")


def test_a_truncated_safetensors_file_is_an_error(state, tmp_path):
    save_file(state, tmp_path / "a.safetensors")
    content = (tmp_path / "a.safetensors").read_bytes()
    (tmp_path / "a.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="not a readable safetensors file"):
        kattn.zoo.convert(tmp_path / "a.safetensors", "resnet20")


def test_objects_in_npz_are_not_unpickled(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.array([{"an": "object"}], dtype=object))
    with pytest.raises(ValueError, match="not a readable"):
        kattn.zoo.convert(tmp_path / "a.npz", "resnet20")


def test_a_link_in_hdf5_is_not_followed(tmp_path):
    import h5py

    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["x"] = np.zeros(3)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["layer_names"] = [b"x"]
        file["x"] = h5py.ExternalLink("secret.h5", "/")
    with pytest.raises(ValueError, match="holds a link in place of data"):
        kattn.zoo.convert(tmp_path / "a.h5", "resnet20")


def test_data_in_another_file_is_not_read(tmp_path):
    import h5py

    (tmp_path / "secret.bin").write_bytes(bytes(64))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["layer_names"] = [b"x"]
        file.create_dataset("x", (8,), "f4", external=[(str(tmp_path / "secret.bin"), 0, 64)])
    with pytest.raises(ValueError, match="refers to another file"):
        kattn.zoo.convert(tmp_path / "a.h5", "resnet20")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"out": "a.h5"}, r"out must end in \.weights\.h5"),
        ({"dialect": "nobody"}, "Unknown dialect 'nobody'.*timm.resnet"),
        ({"model": "resnet21"}, "Closest: .*resnet20"),
    ],
)
def test_bad_arguments_are_named(state, arguments, message):
    with pytest.raises(ValueError, match=message):
        kattn.zoo.convert(state, **{"model": "resnet20"} | arguments)


def test_what_is_no_file_of_weights_is_named(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"")
    with pytest.raises(ValueError, match=r"end in \.safetensors"), open_tensors(tmp_path / "a.zip"):
        pass
    with pytest.raises(FileNotFoundError), open_tensors(tmp_path / "none.npz"):
        pass


# ---------------------------------------------------------------- the tables


def test_a_network_beyond_a_tables_rows_is_only_not_of_that_table():
    """timm's MobileNetV2 has seventeen blocks."""
    layers = [f"stage1_block{number}_conv1" for number in range(1, 20)]
    table = dialects()["timm.mobilenet_v2"].of_network(layers)
    assert table.find("stage1_block17_conv1/kernel", "torch").keys == ("blocks.6.0.conv_pw.weight",)
    assert table.find("stage1_block18_conv1/kernel", "torch") is None


def test_every_dialect_of_the_manifest_exists():
    named = {entry.dialect for tags in entries().values() for entry in tags.values() if entry.dialect}
    assert named <= set(dialects())


def test_the_command_converts_there_and_back(model, state, tmp_path, capsys):
    from kattn.cli.main import main

    source, ours, theirs = (str(tmp_path / name) for name in ("a.safetensors", "a.weights.h5", "b.safetensors"))
    save_file(state, source)
    assert main(["convert", source, "--model", "resnet20", "--out", ours, "--std", "0.2,0.2,0.2"]) == 0
    assert "each in its place" in capsys.readouterr().out
    assert main(["convert", ours, "--model", "resnet20", "--out", theirs, "--dialect", "authors.cifar_resnet"]) == 0
    back = load_file(theirs)
    assert {f"module.{key}" for key in back} == set(state)
    assert all(np.array_equal(back[key.removeprefix("module.")], value) for key, value in state.items())
