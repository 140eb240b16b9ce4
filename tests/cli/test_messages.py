"""Errors of the library in the words of the command line."""

import argparse

import pytest

from kattn.cli.messages import in_flags
from kattn.files import shown

PARSER = argparse.ArgumentParser()
for flag in ("--resume", "--overwrite"):
    PARSER.add_argument(flag, action=argparse.BooleanOptionalAction)
for flag in ("--float-layers", "--allow", "--io-type", "--weights", "--batch", "--validation"):
    PARSER.add_argument(flag)
PARSER.add_argument("path")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("resume=True goes on, overwrite=True starts anew.", "--resume goes on, --overwrite starts anew."),
        ("Start again with resume=True (--resume): it", "Start again with --resume: it"),
        ("overwrite=False refuses it.", "--no-overwrite refuses it."),
        ('float_layers=["*_gate", "b"] or float_layers= leaves', "--float-layers *_gate b or --float-layers leaves"),
        ('pass allow=("GATHER",).', "pass --allow GATHER."),
        ("io_type at int8 must be int8.", "--io-type at int8 must be int8."),
        ("Received: validation=0.5, batch=None.", "Received: --validation 0.5, --batch."),
        ("weights='x' does not exist", "--weights x does not exist"),
        ("my_batch=3, path=4, weights.toml, min_io_type", "my_batch=3, path=4, weights.toml, min_io_type"),
    ],
)
def test_arguments_become_options_of_the_command(said, shown):
    assert in_flags(said, PARSER) == shown


def test_what_controls_a_terminal_is_shown_escaped():
    assert shown("a\nkattn: all well\x1b[2J\r\udcff") == r"a\nkattn: all well\x1b[2J\r\udcff"
    assert shown("Größe 3, 画像") == "Größe 3, 画像"
