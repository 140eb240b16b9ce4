"""Widths, and what is refused in their place."""

import keras
import pytest
from support.layer_cases import CASES, inputs_of, layer_of
from support.layer_checks import structure

from kattn.layers.pieces.widths import hidden_width


def test_the_hidden_width_is_the_quotient_and_at_least_one():
    assert [hidden_width(channels, 16) for channels in (64, 65, 15, 1)] == [4, 4, 1, 1]
    with pytest.raises(ValueError, match="reduction=0"):
        hidden_width(64, 0)


@pytest.mark.parametrize("name", sorted(CASES))
def test_every_layer_refuses_channels_first(name):
    shapes = [x.shape for x in inputs_of(name)]
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(ValueError, match=r"channels-last maps.*channels_first"):
            layer_of(name).build(structure(shapes))
    finally:
        keras.config.set_image_data_format("channels_last")
