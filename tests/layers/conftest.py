"""The fixture `check_layer`: what every layer must do.

A test that asks for it runs twice: with `check_basics`, and with `check_everywhere` (half precisions, XLA, exported
files), which costs ten times as much and is therefore `slow`, but for tests marked `representative`: one or two layers
of each family.
"""

import pytest
from support.layer_checks import check_basics, check_everywhere


def pytest_generate_tests(metafunc):
    if "check_layer" in metafunc.fixturenames:
        marks = [] if metafunc.definition.get_closest_marker("representative") else [pytest.mark.slow]
        everywhere = pytest.param(check_everywhere, id="everywhere", marks=marks)
        metafunc.parametrize("check_layer", [pytest.param(check_basics, id="basics"), everywhere])
