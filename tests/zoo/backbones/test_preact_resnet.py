"""Pre-activation ResNet: sizes, shared activations and what AFI sees."""

import pytest
from support.models import assert_probabilities, trainable

from kattn.zoo import create


@pytest.mark.parametrize(
    ("name", "parameters"),
    # A ResNet-110 less its two shortcuts' normalisations and a few narrower ones; the authors' CIFAR ResNet-164;
    # ResNet-18 and -50 in the same way.
    [
        pytest.param("preact_resnet110", 1_730_522, marks=pytest.mark.slow),
        pytest.param("preact_resnet164", 1_703_258, marks=pytest.mark.slow),
        ("preact_resnet18", 11_687_720),
        pytest.param("preact_resnet50", 25_549_352, marks=pytest.mark.slow),
    ],
)
def test_sizes(name, parameters):
    assert trainable(create(name)) == parameters


def names_before(model, name):
    x = model.get_layer(name).input
    return [one._keras_history.operation.name for one in (x if isinstance(x, list) else [x])]


def test_both_paths_share_the_activation_where_the_shape_changes():
    model = create("preact_resnet18", input_shape=(32, 32, 3))
    assert names_before(model, "stage2_block1_shortcut") == ["stage2_block1_preact_relu"]
    assert names_before(model, "stage2_block2_add") == ["stage2_block1_add", "stage2_block2_conv2"]


def test_the_first_block_takes_the_stems_activation_and_the_last_sum_is_activated():
    model = create("preact_resnet18", input_shape=(32, 32, 3))
    assert names_before(model, "stage1_block1_conv1") == ["stem_pool"]
    assert names_before(model, "stage1_block1_add") == ["stem_pool", "stage1_block1_conv2"]
    assert names_before(model, "C5") == ["finish_relu"]


def test_afi_integrates_activated_maps():
    model = create("afi_preact_resnet50", input_shape=(32, 32, 3))
    assert names_before(model, "stage2_block3_conv1_integrate")[-1] == "stage2_block2_conv1_relu"


@pytest.mark.parametrize("attention", ["", "se_", "bam_", "abn_"])
def test_it_gives_probabilities(attention):
    assert_probabilities(f"{attention}preact_resnet18", (33, 40))
