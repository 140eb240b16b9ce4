"""Residual attention networks: modules, the mask's activation as an option, what has no place."""

import numpy as np
import pytest
from support.models import assert_probabilities, layers_of, pixels

from kattn.zoo import create, features


@pytest.mark.slow
def test_attention92_has_one_two_and_three_modules():
    names = layers_of(create("attention92", input_shape=(32, 32, 3)), "ResidualAttention")
    assert [sum(name.startswith(f"stage{i}") for name in names) for i in (1, 2, 3)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("name", "attention"),
    [("attention56", "channel"), pytest.param("attentionnext56", "spatial", marks=pytest.mark.slow)],
)
def test_every_activation_of_the_mask_gives_probabilities(name, attention):
    model = create(name, attention=attention, input_shape=(None, None, 3), classes=4)
    assert model.get_layer("stage2_attention1").attention == attention
    assert_probabilities(model, (40, 33))
    if name == "attention56":  # open sizes have all levels
        levels = features(model)(pixels((1, 64, 32, 3)))
        shapes = {level: tuple(x.shape[1:]) for level, x in levels.items()}
        assert shapes == {"C2": (16, 8, 256), "C3": (8, 4, 512), "C4": (4, 2, 1024), "C5": (2, 1, 2048)}
        assert all(np.isfinite(np.asarray(x)).all() for x in levels.values())


def test_a_mechanism_inside_blocks_has_no_place():
    with pytest.raises(ValueError, match=r"se has no place in attention56.*inside attention modules"):
        create("se_attention56")
