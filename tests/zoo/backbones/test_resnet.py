"""ResNet: strides, where each mechanism stands, odd and open sizes, the order of weights."""

import keras
import numpy as np
import pytest
from support.models import assert_probabilities, integrated_maps, largest_difference, layers_of, pixels

from kattn.zoo import create

SHORT = {"depths": (1, 1, 2)}  # of a CIFAR network
SHORT_IMAGENET = {"depths": (1, 1, 1, 1), "input_shape": (32, 32, 3)}


def test_v1_strides_in_the_first_convolution_and_v15_in_the_second():
    for name, strided in (("resnet50_v1", "stage2_block1_conv1"), ("resnet50", "stage2_block1_conv2")):
        assert create(name, **SHORT_IMAGENET).get_layer(strided).strides == (2, 2)


@pytest.mark.parametrize(
    ("position", "site"),
    [("input", "conv1"), ("inner", "conv3"), ("residual", "add"), ("shortcut", "add"), ("output", "block2")],
)
def test_position_moves_the_gate_in_the_block(position, site):
    model = create("se_resnet50", position=position, depths=(2, 1, 1, 1), input_shape=(32, 32, 3))
    gate = model.get_layer("stage1_block1_squeeze_excite")
    following = [
        layer.name
        for layer in model.layers
        if any(getattr(x, "_keras_history", (None,))[0] is gate for x in keras.tree.flatten(layer.input))
    ]
    assert following and all(site in name for name in following), following


def test_gc_stands_in_every_block_of_the_last_three_stages():
    gates = layers_of(create("gc_resnet50", depths=(1, 2, 1, 1), input_shape=(32, 32, 3)), "GlobalContext")
    blocks = ["stage2_block1", "stage2_block2", "stage3_block1", "stage4_block1"]
    assert gates == [f"{block}_global_context" for block in blocks]


def test_bam_stands_at_the_three_boundaries():
    model = create("bam_resnet50", **SHORT_IMAGENET)
    assert layers_of(model, "BottleneckAttention") == [f"stage{i}_bottleneck_attention" for i in (1, 2, 3)]


def test_afi_scores_two_slices_and_then_one_map_more_in_each_block():
    model = create("afi_resnet32", depths=(1, 5, 1))
    for block in (2, 3, 4, 5):
        assert len(integrated_maps(model, f"stage2_block{block}_conv1")) == block


def test_afi_pools_the_strided_first_blocks_maps_to_the_stages_resolution():
    model = create("afi_resnet50", depths=(1, 1, 2, 1), input_shape=(75, 45, 3))  # odd maps all the way down
    assert integrated_maps(model, "stage3_block2_conv1") == [(5, 3, 128), (5, 3, 128)]


def test_abn_gates_the_last_stages_input_with_the_branchs_map():
    model = create("abn_resnet20", attention_map=True, **SHORT)
    assert set(model.output) == {"predictions", "attention_predictions", "attention_map"}
    assert tuple(model.output["attention_map"].shape) == (None, 16, 16, 1)
    assert model.get_layer("attention_stage3_block1_conv1").strides == (1, 1)
    assert model.get_layer("stage3_block1_conv1").strides == (2, 2)


@pytest.mark.parametrize("name", ["resnet20", "afi_se_resnet20", "abn_resnet20", "cbam_resnet20"])
@pytest.mark.parametrize("size", [(33, 21), (1, 1)])
def test_odd_sizes_give_probabilities(name, size):
    assert_probabilities(create(name, input_shape=(*size, 3), **SHORT), size)


@pytest.mark.parametrize("name", ["se_resnet20", "afi_resnet20", "bam_resnet20", "gc_resnet20", "abn_resnet20"])
def test_open_sizes_give_the_fixed_sizes_numbers(name):
    fixed = create(name, input_shape=(24, 20, 3), **SHORT)
    free = create(name, input_shape=(None, None, 3), **SHORT)
    free.set_weights(fixed.get_weights())
    x = pixels((2, 24, 20, 3))
    assert largest_difference(fixed(x), free(x)) <= 1e-6


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


def test_convolutions_of_one_shape_start_with_different_numbers():
    model = create("resnet20", **SHORT)
    first, second = (model.get_layer(f"stage1_block1_conv{i}").kernel for i in (1, 2))
    assert np.abs(keras.ops.convert_to_numpy(first) - keras.ops.convert_to_numpy(second)).max() > 0.01


@pytest.mark.parametrize(
    "name",
    [
        "se_resnet20",
        "abn_resnet20",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("cbam_resnet20", "afi_resnet20", "resnext29_32x4d")),
    ],
)
def test_zero_init_residual_starts_every_block_as_its_shortcut(name):
    depths = {} if name.startswith("resnext") else SHORT
    model = create(name, zero_init_residual=True, **depths)
    adds = [layer for layer in model.layers if isinstance(layer, keras.layers.Add) and layer.name.endswith("_add")]
    zeros = [w.path for w in model.weights if w.path.endswith("gamma") and not keras.ops.any(w)]
    of_branches = [path for path in zeros if "_bn/" in path]
    assert adds and len(of_branches) == len(adds) and all("_shortcut" not in path for path in of_branches)
    branches = keras.Model(model.input, [add.input[1] for add in adds])
    assert not any(np.any(keras.ops.convert_to_numpy(y)) for y in keras.tree.flatten(branches(pixels((1, 32, 32, 3)))))
    plain = create(name, **depths)
    assert [w.path for w in plain.weights] == [w.path for w in model.weights]
    assert not [w.path for w in plain.weights if w.path.endswith("_bn/gamma") and not keras.ops.any(w)]
