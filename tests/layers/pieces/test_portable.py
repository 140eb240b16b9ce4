"""The forms for converters and the fast one give the same numbers."""

import threading

import numpy as np
import pytest
from support.layer_checks import build, image, randomise, run

import kattn
from kattn.layers.pieces.portable import integers, portable, portable_graphs


@pytest.mark.parametrize("integer", [False, True])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("se", {}),
        ("gc", {}),
        ("gc", {"reduction": 2, "fusion": "both"}),
        ("snl", {}),
        ("c3", {}),
        ("cbam", {}),
        ("cbam", {"spatial_norm": False}),
    ],
)
def test_all_forms_give_the_same_numbers(name, options, integer):
    x = image(2, 4, 3, 8)
    layer = build(kattn.layers.get(name, **options), x)
    randomise(layer)
    fast = run(layer, x)
    with portable_graphs(integers=integer):
        np.testing.assert_allclose(run(layer, x), fast, atol=1e-5)


def test_it_ends_with_its_block_and_stays_in_its_thread():
    seen = []
    with portable_graphs(integers=True):
        with portable_graphs():
            assert integers()
        assert portable() and integers()
        thread = threading.Thread(target=lambda: seen.append(portable()))
        thread.start()
        thread.join()
    assert not portable() and not integers() and seen == [False]
