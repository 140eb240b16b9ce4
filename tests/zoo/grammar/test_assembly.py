"""Stages, levels and heads."""

import keras
import pytest

from kattn.zoo.grammar.assembly import Head, Stage, assemble, stage_of_blocks
from kattn.zoo.grammar.convolutions import conv
from kattn.zoo.grammar.placing import Sites
from kattn.zoo.grammar.sites import Attention


def block(x, filters, strides, at):
    return conv(x, filters, 3, strides, name=f"{at.name}_conv1")


def network(stages, **options):
    x = keras.Input((16, 16, 3))
    sites = Sites(Attention(), len(stages))
    built = [stage_of_blocks(block, 2, sites, i, filters=4, strides=strides) for i, strides in enumerate(stages, 1)]
    return keras.Model(x, assemble(x, built, sites, Head(5), stem_strides=1, **options))


def test_the_first_block_of_a_stage_has_its_stride_and_every_resolution_its_level():
    model = network((1, 2, 2))
    assert [model.get_layer(f"stage2_block{i}_conv1").strides[0] for i in (1, 2)] == [2, 1]
    assert {f"C{i}": model.get_layer(f"C{i}").output.shape[1] for i in range(3)} == {"C0": 16, "C1": 8, "C2": 4}


def test_the_last_level_lies_behind_finish_and_before_widen():
    model = network((1, 2), finish=keras.layers.ReLU(name="finish"), widen=keras.layers.Conv2D(8, 1, name="widen"))
    order = [layer.name for layer in model.layers]
    assert order.index("finish") < order.index("C1") < order.index("widen") < order.index("avg_pool")


def test_an_attention_for_another_number_of_stages_is_refused():
    with pytest.raises(ValueError, match="sites were made for 2 stages, the network has 1"):
        assemble(keras.Input((4, 4, 3)), [Stage(lambda x, *_: x)], Sites(Attention(), 2), Head(5), stem_strides=1)


@pytest.mark.parametrize(
    ("options", "shape"),
    [({}, (None, 5)), ({"include_top": False}, (None, 4, 4, 3)), ({"include_top": False, "pooling": "max"}, (None, 3))],
)
def test_a_head_gives_scores_or_features(options, shape):
    assert Head(5, **options)(keras.Input((4, 4, 3))).shape == shape
