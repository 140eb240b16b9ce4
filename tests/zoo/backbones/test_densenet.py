"""DenseNet has the published sizes, and each mechanism its place in it."""

import pytest
from support.models import assert_probabilities, assert_published, integrated_maps, rows_of, trainable

from kattn.zoo import create

ROWS = rows_of("densenet40_k12", "densenet100_k12", "densenet_bc100_k12")
SMALL = ("densenet40_k12(classes=100)",)


@pytest.mark.parametrize("row", [r for r in ROWS if r["call"] in SMALL], ids=lambda row: row["call"])
def test_parameters_and_macs_are_the_published_ones(row):
    assert_published(row)


@pytest.mark.slow
@pytest.mark.parametrize("row", [r for r in ROWS if r["call"] not in SMALL], ids=lambda row: row["call"])
def test_parameters_and_macs_of_the_rest_are_the_published_ones(row):
    assert_published(row)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("densenet121", 7_978_856),  # torchvision's and keras.applications'
        ("densenet161", 28_681_000),
        ("densenet169", 14_149_480),
        ("densenet201", 20_013_928),
        ("densenet_bc190_k40", 25_624_430),  # 25.6 M in the paper
    ],
)
def test_forms_without_a_row_have_their_known_sizes(name, parameters):
    assert trainable(create(name)) == parameters


@pytest.fixture(scope="module")
def afi():
    return create("afi_densenet40_k12", input_shape=(8, 8, 3))


def test_afi_halves_each_layers_convolution_but_the_first(afi):
    convs = [afi.get_layer(f"stage2_block{block}_conv1") for block in (1, 2, 12)]
    assert [conv.filters for conv in convs] == [12, 6, 6]
    assert [len(integrated_maps(afi, f"stage2_block{block}_conv1")) for block in (2, 12)] == [2, 12]


def test_afi_starts_anew_in_each_dense_block(afi):
    assert len(integrated_maps(afi, "stage3_block2_conv1")) == 2
    assert afi.get_layer("stage3_block12_append").output.shape[-1] == 16 + 3 * 12 * 12


def test_with_bottlenecks_afi_halves_the_1x1_convolution():
    model = create("afi_densenet121", input_shape=(32, 32, 3))
    conv = model.get_layer("stage1_block2_conv1")
    assert conv.kernel_size == (1, 1) and conv.filters == 64
    assert [channels for *_, channels in integrated_maps(model, "stage1_block2_conv1")] == [64, 64]


def test_bam_stands_before_the_transitions_and_abn_copies_the_last_dense_block():
    model = create("bam_densenet40_k12", input_shape=(8, 8, 3))
    assert model.get_layer("stage2_bottleneck_attention").output.shape[-1] == 16 + 2 * 12 * 12
    model = create("abn_densenet40_k12", input_shape=(8, 8, 3), attention_map=True)
    assert tuple(model.output["attention_map"].shape) == (None, 2, 2, 1)
    copied = [layer.name for layer in model.layers if layer.name.startswith("attention_stage3")]
    assert f"attention_stage3_block{12}_append" in copied and not any("transition" in name for name in copied)


def test_there_is_nothing_inside_the_branch_behind_its_3x3_convolution():
    with pytest.raises(ValueError, match="stand at inner, but its blocks have no 3x3 convolution that is followed"):
        create("se_densenet40_k12", position="inner")


@pytest.mark.parametrize("attention", ["se_", "abn_"])
def test_it_gives_probabilities(attention):
    assert_probabilities(f"{attention}densenet40_k12", (9, 12))
