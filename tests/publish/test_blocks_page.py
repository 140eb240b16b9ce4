"""The page of all blocks says what the layers are."""

from pathlib import Path

import pytest
from support.sweeps import swept

from kattn.layers import LAYERS
from kattn.publish import blocks_page as page
from kattn.publish.block_facts import facts

PAGE = (Path(page.__file__).resolve().parents[2] / "docs" / "blocks.md").read_text(encoding="utf-8")
WRITTEN = page.numbers_in(PAGE)
HINT = "run python -m kattn.publish blocks"
COUNTED_QUICKLY = {"cbam", "danet_channel", "encoding", "ge", "nl", "nlm", "rnan_nl", "sagan", "se"}


def test_every_block_has_its_row_once():
    assert sorted(page.names()) == sorted(LAYERS)


def test_the_page_is_current():
    """But for the numbers, which are taken from it and compared below."""
    assert page.page(WRITTEN) == PAGE, HINT


@pytest.mark.parametrize("name", page.names())
def test_the_formula_gives_the_parameters(name):
    assert page.value_of(facts(name).parameters, page.names_of(facts(name))) == WRITTEN[name][0], HINT


@pytest.mark.parametrize("name", swept(page.names(), COUNTED_QUICKLY))
def test_the_numbers_are_the_layers(name):
    assert page.counted(name) == WRITTEN[name], HINT


@pytest.mark.parametrize("name", page.names())
def test_every_docstring_names_what_a_reader_needs(name):
    parts = page.sections(LAYERS[name].__doc__)
    missing = {"", "Shapes", "Raises", "Paper"} - {key for key, text in parts.items() if text}
    assert not missing, f"{LAYERS[name].__name__} says nothing of {missing}"


def test_a_docstring_is_taken_apart_by_section():
    parts = page.sections(
        """Sum.\n\n    y = a + b\n\n    Args:\n        a: One.\n\n    Shapes: any\n        of them.\n    """
    )
    assert parts == {"": "Sum.", "body": "y = a + b", "Args": "a: One.", "Shapes": "any\n    of them."}


def test_paragraphs_that_are_equations_are_set_as_written():
    assert (
        page.body_of("y = x\nz = y\n\nIt stays as it is where the scale b = 1.")
        == "```text\ny = x\nz = y\n```\n\nIt stays as it is where the scale b = 1."
    )
    assert page.pretty("2*C**2 + h") == "2 C^2 + h"


def test_it_is_written_where_it_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "counted", WRITTEN.get)
    page.write_blocks(tmp_path / "blocks.md")
    assert (tmp_path / "blocks.md").read_text(encoding="utf-8") == PAGE
