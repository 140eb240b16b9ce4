"""The code of the page on descriptions runs in the order of the page, and prints what the page shows."""

import re

import numpy as np
import pytest
from PIL import Image
from support import TESTS

PAGE = TESTS.parent / "docs" / "describe.md"


@pytest.mark.slow
def test_the_page_shows_what_its_code_prints(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for number in range(24):
        colour, name = (((180, 90, 60), "cat"), ((60, 90, 180), "dog"))[number % 2]
        (tmp_path / "photos" / name).mkdir(parents=True, exist_ok=True)
        image = np.clip(random.normal(colour, 60, (40, 50, 3)), 0, 255).astype("uint8")
        Image.fromarray(image).save(tmp_path / "photos" / name / f"{number:02}.jpg")
    printed, shown = "", []
    scope: dict = {}
    for language, text in re.findall(r"```(python|text)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        if language == "text":
            shown.append(text)
            continue
        capsys.readouterr()
        exec(text, scope)
        printed += capsys.readouterr().out
    assert len(shown) >= 8
    for text in shown:
        assert without_numbers(text) in without_numbers(printed)
    assert len(re.findall(r"photos/dog/\d+\.jpg: ", printed)) == 12


def without_numbers(text):
    """Keras numbers the inputs and operations of a process."""
    return re.sub(r"_\d+\b|\bsubtract\b", "", text)
