"""ResNet and its twins have the published sizes, wiring and behaviour."""

import keras
import numpy as np
import pytest
from support.models import architectures, integrated_maps, pixels, trainable

import kattn
from kattn.zoo import create

ROWS = [
    row
    for row in architectures()
    if not row["call"].startswith("c3_") and row["call"].split("_")[-1].startswith("resnet")
]
SMALL = {
    "resnet20(classes=100)",
    "se_resnet20(reduction=8, use_bias=False, classes=100)",
    "afi_resnet32(classes=100)",
    "afi_resnet32(stages=(2,), classes=100)",
    "abn_resnet20(classes=100)",
    "cbam_resnet18()",
    "bam_resnet18()",
    'se_resnet50_v1(position="input")',
    'gc_resnet50_v1(fusion="scale")',
    "afi_resnet50()",
    "abn_resnet50()",
}


def check(row):
    model = eval(f"kattn.zoo.{row['call']}", {"kattn": kattn})
    cost = kattn.profile(model)
    assert (trainable(model), cost.macs) == (int(row["params"]), int(row["macs"]))


@pytest.mark.parametrize("row", [r for r in ROWS if r["call"] in SMALL], ids=lambda row: row["call"])
def test_parameters_and_macs_are_the_published_ones(row):
    check(row)


@pytest.mark.slow
@pytest.mark.parametrize("row", [r for r in ROWS if r["call"] not in SMALL], ids=lambda row: row["call"])
def test_parameters_and_macs_of_the_rest_are_the_published_ones(row):
    check(row)


def layer_of(model, kind):
    return [layer.name for layer in model.layers if type(layer).__name__ == kind]


def test_v1_strides_in_the_first_convolution_and_v15_in_the_second():
    for name, strided in (("resnet50_v1", "stage2_block1_conv1"), ("resnet50", "stage2_block1_conv2")):
        model = create(name, input_shape=(32, 32, 3))
        assert model.get_layer(strided).strides == (2, 2)


@pytest.mark.parametrize(
    ("position", "site"),
    [("input", "conv1"), ("inner", "conv3"), ("residual", "add"), ("shortcut", "add"), ("output", "block2")],
)
def test_position_moves_the_gate_in_the_block(position, site):
    model = create("se_resnet50", input_shape=(32, 32, 3), position=position)
    gate = model.get_layer("stage1_block1_squeeze_excite")
    following = [
        layer.name
        for layer in model.layers
        if any(getattr(x, "_keras_history", (None,))[0] is gate for x in keras.tree.flatten(layer.input))
    ]
    assert following and all(site in name for name in following), following


def test_gc_stands_in_the_last_three_stages():
    gates = layer_of(create("gc_resnet50", input_shape=(32, 32, 3)), "GlobalContext")
    assert {name.split("_")[0] for name in gates} == {"stage2", "stage3", "stage4"} and len(gates) == 13


def test_bam_stands_at_the_three_boundaries():
    assert layer_of(create("bam_resnet50", input_shape=(32, 32, 3)), "BottleneckAttention") == [
        f"stage{i}_bottleneck_attention" for i in (1, 2, 3)
    ]


def test_afi_scores_two_slices_and_then_one_map_more_in_each_block():
    model = create("afi_resnet32")
    for block in (2, 3, 4, 5):
        assert len(integrated_maps(model, f"stage2_block{block}_conv1")) == block


def test_afi_pools_the_strided_first_blocks_maps_to_the_stages_resolution():
    model = create("afi_resnet50", input_shape=(75, 45, 3))  # odd maps all the way down
    assert integrated_maps(model, "stage3_block2_conv1") == [(5, 3, 128), (5, 3, 128)]


def test_abn_gates_the_last_stages_input_with_the_branchs_map():
    model = create("abn_resnet20", attention_map=True)
    assert set(model.output) == {"predictions", "attention_predictions", "attention_map"}
    assert tuple(model.output["attention_map"].shape) == (None, 16, 16, 1)
    assert model.get_layer("attention_stage3_block1_conv1").strides == (1, 1)
    assert model.get_layer("stage3_block1_conv1").strides == (2, 2)


@pytest.mark.parametrize("name", ["resnet20", "afi_se_resnet20", "abn_resnet20", "cbam_resnet20"])
@pytest.mark.parametrize("size", [(33, 21), (7, 9), (1, 1)])
def test_odd_sizes_give_probabilities(name, size):
    outputs = create(name, input_shape=(*size, 3))(pixels((2, *size, 3)))
    for y in keras.tree.flatten(outputs):
        np.testing.assert_allclose(np.asarray(y).sum(-1), 1, rtol=1e-5)


@pytest.mark.parametrize("name", ["se_resnet20", "afi_resnet20", "bam_resnet20", "gc_resnet20", "abn_resnet20"])
def test_open_sizes_give_the_fixed_sizes_numbers(name):
    fixed = create(name, input_shape=(24, 20, 3))
    free = create(name, input_shape=(None, None, 3))
    free.set_weights(fixed.get_weights())
    x = pixels((2, 24, 20, 3))
    for a, b in zip(keras.tree.flatten(fixed(x)), keras.tree.flatten(free(x)), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), atol=1e-6)


def test_the_order_of_weights_is_frozen():
    """Weight files go by construction order: a change here breaks every file that users have."""
    order = [w.path for w in create("afi_se_resnet20", input_shape=(8, 8, 3)).weights]
    assert order[:4] == ["stem_conv/kernel", "stem_conv_bn/gamma", "stem_conv_bn/beta", "stem_conv_bn/moving_mean"]
    start = order.index("stage1_block2_conv1/kernel")
    assert [path for path in order[start:] if "_bn" not in path][:8] == [
        "stage1_block2_conv1/kernel",
        "stage1_block2_conv1_integrate/reduce/kernel",
        "stage1_block2_conv1_integrate/expand/kernel",
        "stage1_block2_squeeze_excite/reduce/kernel",
        "stage1_block2_squeeze_excite/reduce/bias",
        "stage1_block2_squeeze_excite/expand/kernel",
        "stage1_block2_squeeze_excite/expand/bias",
        "stage1_block2_conv2/kernel",
    ]
    assert order[-2:] == ["logits/kernel", "logits/bias"]
