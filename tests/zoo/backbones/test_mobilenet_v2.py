"""MobileNetV2: widths, shortcuts and AFI's runs."""

import keras
import pytest
from support.models import assert_probabilities, trainable

from kattn.zoo import create


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [0.35, 0.5, 0.75, 1.3, 1.4])
def test_alpha_rounds_as_the_references(alpha):
    reference = keras.applications.MobileNetV2(weights=None, alpha=alpha)
    assert trainable(create("mobilenet_v2", alpha=alpha)) == trainable(reference)


def test_the_last_width_grows_with_alpha_and_does_not_shrink():
    shape = {"input_shape": (32, 32, 3), "include_top": False}
    assert [create("mobilenet_v2", alpha=alpha, **shape).output.shape[-1] for alpha in (0.35, 1.4)] == [1280, 1792]
    with pytest.raises(ValueError, match="alpha must be above 0"):
        create("mobilenet_v2", alpha=-1.0)


@pytest.fixture(scope="module")
def afi():
    return create("afi_mobilenet_v2", input_shape=(64, 64, 3))


def test_afi_runs_over_blocks_of_equal_width(afi):
    """Stage 4 holds the row of four blocks of 64 channels and that of three of 96: blocks 1 to 4 and 5 to 7."""
    shapes = {
        block: [tuple(x.shape[1:]) for x in afi.get_layer(f"stage4_block{block}_conv1_integrate").input]
        for block in (2, 3, 4, 6, 7)
    }
    assert {block: len(maps) for block, maps in shapes.items()} == {2: 2, 3: 3, 4: 4, 6: 2, 7: 3}
    # The strided first block's map is at twice the resolution and pooled.
    assert set(shapes[4]) == {(4, 4, 192)} and set(shapes[7]) == {(4, 4, 288)}


def test_levels_go_by_resolution(afi):
    assert [layer.name for layer in afi.layers if layer.name in {f"C{i}" for i in range(6)}] == [
        f"C{i}" for i in (1, 2, 3, 4, 5)
    ]
    assert afi.get_layer("C5").output.shape[-1] == 320


def test_eca_gates_every_block_also_those_without_a_sum():
    model = create("eca_mobilenet_v2", input_shape=(32, 32, 3))
    assert sum("efficient_channel" in layer.name for layer in model.layers) == 17


def test_bam_and_abn_go_by_resolution():
    model = create("bam_mobilenet_v2", input_shape=(32, 32, 3))
    places = [layer.name.split("_")[0] for layer in model.layers if "bottleneck_attention" in layer.name]
    assert places == ["stage2", "stage3", "stage4"]  # strides 4, 8 and 16
    model = create("abn_mobilenet_v2_cifar", input_shape=(16, 16, 3), attention_map=True)
    assert tuple(model.output["attention_map"].shape) == (None, 4, 4, 1)
    assert model.get_layer("attention_stage4_block1_conv2").strides == (1, 1)


def test_odd_sizes_give_probabilities():
    assert_probabilities(create("afi_cbam_mobilenet_v2_cifar", alpha=0.35, input_shape=(9, 12, 3)), (9, 12))
