"""A contact sheet holds images, captions and the scales of its colours."""

import numpy as np
import pytest
from support.explaining import texts
from support.models import pixels

from kattn.explain import contact_sheet

IMAGES = pixels((2, 8, 8, 3))
COLUMNS = {"grad_cam": np.linspace(0, 1, 128).reshape(2, 8, 8), "gate": np.full((2, 8, 8), 0.5)}


def test_a_sheet_says_what_it_shows():
    sheet = contact_sheet(
        IMAGES, COLUMNS, captions=["a cat", "a dog"], column_captions={"gate": ["b 90%", "c 80%"]}, title="Two"
    )
    assert {"image", "grad_cam", "gate", "a cat", "a dog", "b 90%", "c 80%", "Two", "0", "1", "0.5"} <= texts(sheet)


def test_long_titles_and_captions_are_broken_and_names_are_no_formulas():
    column = {"inner_model/stage3_block3_attention": COLUMNS["gate"]}
    seen = texts(contact_sheet(IMAGES, column, captions=["$a$ golden retriever 98%", ""]))
    assert "inner_model/stage3_bl\nock3_attention" in seen and "\\$a\\$ golden retriever\n98%" in seen


@pytest.mark.parametrize("channels", [1, 4])
def test_grey_images_and_images_with_opacity_are_shown_too(channels):
    sheet = contact_sheet(pixels((2, 8, 8, channels)), COLUMNS)
    assert {axes.get_images()[0].get_array().shape for axes in sheet.axes[:2]} == {(8, 8, 3)}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"columns": {"x": np.zeros((2, 8, 9))}}, "column 'x' must be maps"),
        ({"captions": ["one"]}, "1 captions"),
        ({"images": IMAGES[:0]}, "images must be"),
    ],
)
def test_what_does_not_fit_is_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        contact_sheet(**{"images": IMAGES, "columns": COLUMNS, **wrong})
