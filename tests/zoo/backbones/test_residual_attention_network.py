"""Residual attention networks have the published sizes and modules; the mask's activation is an option."""

import numpy as np
import pytest
from support.models import assert_published, layers_of, pixels, rows_of

from kattn.zoo import create, features


@pytest.mark.slow
@pytest.mark.parametrize("row", rows_of("attention56", "attention92", "attentionnext56"), ids=lambda row: row["call"])
def test_parameters_and_macs_are_the_published_ones(row):
    assert_published(row)


@pytest.mark.slow
def test_attention92_has_one_two_and_three_modules():
    names = layers_of(create("attention92", input_shape=(32, 32, 3)), "ResidualAttention")
    assert [sum(name.startswith(f"stage{i}") for name in names) for i in (1, 2, 3)] == [1, 2, 3]


@pytest.mark.parametrize(("name", "attention"), [("attention56", "channel"), ("attentionnext56", "spatial")])
def test_every_activation_of_the_mask_gives_probabilities(name, attention):
    model = create(name, attention=attention, input_shape=(40, 33, 3), classes=4)
    assert model.get_layer("stage2_attention1").attention == attention
    np.testing.assert_allclose(np.asarray(model(pixels((1, 40, 33, 3)))).sum(-1), 1, rtol=1e-5)


def test_open_sizes_have_all_levels():
    levels = features(create("attention56", include_top=False, input_shape=(None, None, 3)))(pixels((1, 64, 32, 3)))
    assert {name: tuple(x.shape[1:]) for name, x in levels.items()} == {
        "C2": (16, 8, 256),
        "C3": (8, 4, 512),
        "C4": (4, 2, 1024),
        "C5": (2, 1, 2048),
    }


def test_a_mechanism_inside_blocks_has_no_place():
    with pytest.raises(ValueError, match=r"se has no place in attention56.*inside attention modules"):
        create("se_attention56")
