"""What `help` says of the public functions."""

import importlib
import inspect

import pytest
from support.public_api import FACES, builders, described_names


@pytest.mark.parametrize("face", FACES)
def test_a_docstring_says_what_its_function_returns(face):
    functions = {name: getattr(importlib.import_module(face), name) for name in described_names(face)}
    silent = [
        name
        for name, function in functions.items()
        if inspect.isfunction(function)
        and function.__annotations__.get("return") != "None"
        and not any(word in (function.__doc__ or "") for word in ("Returns:", "Returns, arguments", "Shapes:"))
    ]
    assert silent == []


def test_a_builder_says_what_each_option_takes():
    for name in builders():  # one of each mechanism and of each backbone
        text = getattr(importlib.import_module("kattn.zoo"), name).__doc__
        assert "Of the mechanism." not in text and "Of the backbone." not in text, name
