"""Every tensor in its place, used once, or nothing is assigned."""

import numpy as np
import pytest
from support.checkpoints import network
from support.models import randomise

import kattn
from kattn.zoo.weights.assigning import load_tensors
from kattn.zoo.weights.files.state_dict import to_state_dict
from kattn.zoo.weights.manifest import entries
from kattn.zoo.weights.naming.dialects import dialects
from kattn.zoo.weights.pairing import Mismatch

CIFAR = {"depths": (1, 1, 1)}
IMAGENET = {"depths": (1, 1, 1, 1), "widths": (8, 8, 16, 16)}
DEEP_STEM = {"stem_widths": (4, 4, 8)}
GC = {"stem_pool": "conv", "position": "inner", "stages": (1, 2, 3, 4)}
SLOW = [pytest.mark.slow]


@pytest.mark.parametrize(
    ("name", "options", "dialect"),
    [
        ("resnet18", IMAGENET | DEEP_STEM | {"shortcut": "D"}, "timm"),
        ("se_resnet20", CIFAR, "authors.se_linear"),
        ("cbam_resnet20", CIFAR, "timm"),
        ("bam_resnet20", CIFAR, "authors.attention_module"),
        ("eca_resnet20", CIFAR, "authors.eca"),
        ("sk_resnet20", CIFAR | {"split_input": True}, "timm"),
        ("splat_resnet20", CIFAR, "timm"),
        ("gc_resnet50", IMAGENET | DEEP_STEM | GC, None),
        ("mobilenet_v2", {"alpha": 0.1}, "timm"),
        pytest.param("resnet20", CIFAR, None, marks=SLOW),
        pytest.param("resnet20", CIFAR, "osmr", marks=SLOW),
        pytest.param("cbam_resnet20", CIFAR, "authors.attention_module", marks=SLOW),
        pytest.param("cbam_resnet20", CIFAR, "osmr", marks=SLOW),
        pytest.param("bam_resnet20", CIFAR, "osmr.bam_resnet", marks=SLOW),
        pytest.param("mobilenet_v2", {"alpha": 0.1}, "torchvision", marks=SLOW),
    ],
)
def test_there_and_back_is_the_same_network(name, options, dialect):
    model = kattn.zoo.create(name, classes=3, input_shape=(32, 32, 3), **options)
    randomise(model)
    state = to_state_dict(model, dialect)
    before = {weight.path: np.array(weight) for weight in model.weights if "seed" not in weight.path}
    randomise(model, seed=1)
    load_tensors(model, state)
    for weight in model.weights:
        if weight.path in before:
            np.testing.assert_array_equal(np.asarray(weight), before[weight.path], err_msg=weight.path)


def test_nothing_is_assigned_where_something_is_wrong():
    model = network()
    before = model.get_layer("stem_conv").get_weights()[0]
    wrong = {key: value + 1 for key, value in to_state_dict(model).items() if not key.startswith("fc.")}
    with pytest.raises(Mismatch, match="missing in the file"):
        load_tensors(model, wrong)
    np.testing.assert_array_equal(before, model.get_layer("stem_conv").get_weights()[0])


def test_the_same_tensor_is_not_used_twice():
    """SE's gate in a file of the plain network: nothing else fills its place."""
    with pytest.raises(Mismatch, match=r"missing in the file \(12\): stage1_block1_squeeze_excite"):
        load_tensors(network("se_resnet20"), to_state_dict(network()))


def test_a_bias_before_a_normalisation_goes_into_its_mean():
    """keras.applications' ResNets; their stem takes BGR, and their normalisations add 1.001e-5."""
    ours = kattn.zoo.resnet50_v1(depths=(1, 1, 1, 1), widths=(4, 4, 8, 8), classes=3, input_shape=(32, 32, 3))
    table, rng, theirs = dialects()["keras_applications.resnet"], np.random.default_rng(0), {}
    for weight in ours.weights:
        theirs[table.find(weight.path, "keras").keys[0]] = rng.uniform(1, 2, weight.shape).astype("float32")
    theirs["conv2_block1_1_conv.bias"] = np.full(4, 0.25, "float32")
    load_tensors(ours, theirs)
    stem, norm = ours.get_layer("stem_conv"), ours.get_layer("stage1_block1_conv1_bn")
    np.testing.assert_array_equal(stem.get_weights()[0], theirs["conv1_conv.kernel"][:, :, ::-1])
    np.testing.assert_allclose(norm.moving_mean, theirs["conv2_block1_1_bn.moving_mean"] - 0.25)
    np.testing.assert_allclose(norm.moving_variance, theirs["conv2_block1_1_bn.moving_variance"] + 1e-8, rtol=1e-6)


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
