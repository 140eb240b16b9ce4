"""What every registered block does alike, at any size: one example each, in `layer_cases.py`."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.layer_cases import CASES, inputs_of, layer_of, moved
from support.layer_checks import PROPERTY, build, check_free_sizes, error, randomise, run, shapes_of, structure
from support.sweeps import swept

from kattn.layers import names

# The other blocks' own tests draw sizes too, and compare with loops.
DRAWN_HERE = {"abn", "afi", "bam", "cbam", "context_encoding", "gc", "object_context", "se"}
# ABN's branch always gives its map, the sampler has no attention, the groups leave theirs to the layers inside.
NOTHING_ON_REQUEST = {"abn", "stn_sampler", "lsrag", "rcab", "rcan", "san", "strip_mixed"}
FREE = [name for name, case in CASES.items() if case.free]


def test_every_block_has_its_case():
    assert sorted(CASES) == names()


@pytest.mark.parametrize("name", swept(sorted(set(CASES) - NOTHING_ON_REQUEST), DRAWN_HERE))
def test_attention_comes_on_request_behind_the_same_output(name):
    inputs = inputs_of(name)
    layer, asked = (build(layer_of(name, return_attention=asked), *inputs) for asked in (False, True))
    randomise(layer)
    asked.set_weights(layer.get_weights())
    plain, both = run(layer, *inputs), run(asked, *inputs)
    assert len(both) > len(plain)
    assert error(both[: len(plain)], plain) < 1e-5


@pytest.mark.parametrize("name", swept(CASES, DRAWN_HERE))
@settings(PROPERTY, max_examples=3)
@given(st.integers(0, 4), st.integers(0, 4), st.integers(0, 99))
def test_any_size_gives_finite_numbers_of_the_promised_shape(name, height, width, seed):
    """Also, a sample's output depends on no other sample, and moves with its input where the equation promises it."""
    case = CASES[name]
    inputs = inputs_of(name, case.least + height, case.least + width, seed=seed)
    layer = build(layer_of(name), *inputs)
    randomise(layer)
    outputs = run(layer, *inputs)
    promised = layer.compute_output_shape(structure([x.shape for x in inputs]))
    assert shapes_of(promised) == [y.shape for y in outputs]
    assert all(np.isfinite(y).all() for y in outputs)
    alone = run(layer, *(x[1:] for x in inputs))
    assert error(alone, [y[1:] for y in outputs]) < 1e-4
    for how in case.moves:
        move = moved(inputs[0], how, np.random.default_rng(seed))
        assert error(run(layer, *map(move, inputs)), list(map(move, outputs))) < 1e-4, f"not moved with its {how}"


@pytest.mark.slow
@pytest.mark.parametrize("name", FREE)
def test_maps_of_unknown_height_and_width_give_the_same_numbers(name):
    check_free_sizes(layer_of(name), *inputs_of(name))


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.free])
def test_blocks_with_weights_a_position_ask_for_the_size(name):
    with pytest.raises(ValueError, match="known height and width"):
        layer_of(name).build((None, None, None, CASES[name].channels))
