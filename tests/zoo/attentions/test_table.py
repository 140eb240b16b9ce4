"""Where the mechanisms of the table stand, and the sizes that their authors give."""

import pytest
from support.models import trainable

from kattn.zoo import create
from kattn.zoo.attentions.table import ATTENTIONS, halves_and_thirds, last_four, middle_two, next_to_last, spread

SHORT = {"depths": (1, 1, 1)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options", "added"),
    [
        ("ge_resnet50", {"variant": "theta_plus"}, 33_637_592 - 25_557_032),  # the authors' prototxt
        ("ge_resnet50", {"variant": "theta_minus"}, 0),
        ("nl_resnet50", {"stages": (3,)}, 3 * 2_101_760),
    ],
)
def test_their_variants_add_what_their_authors_print(name, options, added):
    assert trainable(create(name, **options)) - 25_557_032 == added


def where(name, kind, **options):
    model = create(name, input_shape=(32, 32, 3), **options)
    return [layer.name.removesuffix(f"_{kind}") for layer in model.layers if layer.name.endswith(kind)]


def test_non_local_blocks_stand_where_their_authors_put_them():
    c4 = [f"stage3_block{i}" for i in (2, 4, 6)]
    found = where("nl_resnet50", "non_local", depths=(1, 4, 6, 1))
    assert found == ["stage2_block2", "stage2_block4", *c4]
    assert [block for block in range(1, 24) if spread(block, 23)] == [7, 14, 21]  # of ResNet-101
    assert [block for block in range(1, 3) if spread(block, 1)] == [1, 2]


def test_one_simplified_block_stands_before_the_last_block_of_c4():
    assert where("snl_resnet50", "simplified_non_local", depths=(1, 1, 6, 1)) == ["stage3_block5"]


def test_c3_stands_once_a_stage_and_can_be_moved_to_its_input():
    first = where("c3_resnet20", "communication", depths=(2, 2, 1))
    assert first == [f"stage{i}_block1_cross_channel" for i in (1, 2, 3)]
    moved = where("c3_resnet20", "communication", position="stage_input", **SHORT)
    assert moved == [f"stage{i}_input_cross_channel" for i in (1, 2, 3)]


def test_selective_kernels_and_split_attention_take_the_3x3_convolutions_place():
    for name, kind in (("sk_resnet20", "selective_kernel"), ("splat_resnet20", "split_attention")):
        assert len(where(name, kind, **SHORT)) == 3
    model = create("sk_resnext29_32x4d", input_shape=(8, 8, 3))
    assert model.get_layer("stage2_block1_conv2_selective_kernel").get_config()["groups"] == 32


@pytest.mark.parametrize("second", ["se", "cbam", "eca", "ge"])
def test_afis_partner_stands_on_every_result(second):
    model = create(f"afi_{second}_resnet20", input_shape=(8, 8, 3), depths=(1, 2, 3))
    results = [layer for layer in model.layers if layer.name.endswith("integrate")]
    assert len(results) == sum(isinstance(layer, ATTENTIONS[second].residual) for layer in model.layers) == 3


def test_rules_count_from_the_last_stage():
    """Five stages where the first one ends before stride 4, four in an ImageNet ResNet, three on CIFAR."""
    chosen = {
        rule.__name__: [[s for s in range(1, count + 1) if rule(s, count)] for count in (5, 4, 3)]
        for rule in (last_four, middle_two, next_to_last)
    }
    assert chosen == {
        "last_four": [[2, 3, 4, 5], [1, 2, 3, 4], [1, 2, 3]],
        "middle_two": [[3, 4], [2, 3], [1, 2]],
        "next_to_last": [[4], [3], [2]],
    }


def test_coordinate_attention_stands_at_the_expanded_width_of_blocks_that_expand():
    found = [layer for layer in create("coord_mobilenet_v2").layers if layer.name.endswith("coordinate_attention")]
    assert len(found) == 16 and found[0].input.shape[-1] == 96


def test_strips_stand_at_the_ends_of_stages_and_in_all_of_the_last():
    found = where("strip_resnet20", "strip_pooling", depths=(3, 2, 2))
    assert found == ["stage1_block3", "stage2_block2", "stage3_block1", "stage3_block2"]


def test_bilinear_transforms_stand_where_their_authors_put_them():
    """Of ResNet-50, -101 and -152."""
    depths = {(4, 6): ([2, 4], [2, 4, 6]), (4, 23): ([2, 4], [7, 14, 21]), (8, 36): ([4, 8], [12, 24, 36])}
    for blocks, expected in depths.items():
        found = [
            [block for block in range(1, count + 1) if halves_and_thirds(block, count, stage, 4)]
            for stage, count in zip((2, 3), blocks, strict=True)
        ]
        assert tuple(found) == expected
    assert where("bat_resnet20", "transform", depths=(2, 2, 1)) == [
        f"stage{i}_block2_bilinear_attention" for i in (1, 2)
    ]


def test_self_attention_takes_the_last_stages_convolutions_place_and_is_normalised():
    model = create("mhsa_resnet20", input_shape=(8, 8, 3), **SHORT)
    names = [layer.name for layer in model.layers if layer.name.startswith("stage3_block1_conv1")]
    assert [name.removeprefix("stage3_block1_conv1_") for name in names] == [
        "multi_head_self_attention2d",
        "bn",
        "relu",
    ]
