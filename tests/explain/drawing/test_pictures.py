"""Overlays keep their pixels; files are whole, undated, and never written through a link."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image
from support.models import pixels

from kattn.explain import overlay, save_figure
from kattn.explain.drawing.pictures import new_figure
from kattn.explain.drawing.text import label


def test_overlay_mixes_pixels_and_colours():
    image = pixels((4, 5, 1))
    assert (overlay(image, np.zeros((4, 5)), strength=0) == np.rint(image).astype("uint8")).all()
    assert overlay(image, np.ones((4, 5))).shape == (4, 5, 3)
    heat = np.tile([0.0, 2.0, 5.0, 9.0], (4, 1))
    coloured = overlay(image[:, :4], heat, strength=1, limits=(2, 5))
    assert (coloured[:, 0] == coloured[:, 1]).all() and (coloured[:, 2] == coloured[:, 3]).all()
    brightness = overlay(np.zeros((1, 64, 3)), np.linspace(0, 1, 64)[None], strength=1)[0] @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(brightness) > -0.6).all()  # a grey print still shows the order
    for wrong, message in (
        ({"heat": np.ones((5, 4))}, "one size"),
        ({"strength": 1.5}, "strength must be"),
        ({"colours": "jet"}, "colours must be one of viridis"),
        ({"limits": (1, 1)}, "limits must be"),
    ):
        with pytest.raises(ValueError, match=message):
            overlay(**{"image": image, "heat": np.ones((4, 5)), **wrong})


def titled(text):
    figure = new_figure(2, 2)
    figure.suptitle(label(text))
    return figure


def test_a_figure_is_the_same_file_each_time_in_a_new_folder(tmp_path):
    for ending in ("png", "svg", "pdf"):
        one, two = (save_figure(titled("a"), tmp_path / folder / f"f.{ending}") for folder in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()
    with Image.open(tmp_path / "one" / "f.png") as file:
        assert file.size == (220, 220)
    with pytest.raises(ValueError, match=r"\.png, \.svg, \.pdf"):
        save_figure(titled("a"), tmp_path / "s.gif")


def test_a_figure_takes_the_place_of_a_link_and_leaves_nothing_where_it_fails(tmp_path):
    (tmp_path / "other.txt").write_text("mine")
    (tmp_path / "f.png").symlink_to(tmp_path / "other.txt")
    save_figure(titled("a"), tmp_path / "f.png")
    assert not (tmp_path / "f.png").is_symlink() and (tmp_path / "other.txt").read_text() == "mine"
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(OSError, match=r"folder\.png could not be written"):
        save_figure(titled("a"), tmp_path / "folder.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f.png", "folder.png", "other.txt"]


@pytest.mark.parametrize("name", ["$5_to_$10", r"$\badcmd{x}$", r"\$5", "\x1b[31mred\x00", "b\udce9", "\uffff", "猫"])
def test_any_name_is_a_valid_picture(name, tmp_path):
    shown = save_figure(titled(name), tmp_path / "f.svg").read_text(encoding="utf-8")
    texts = [element.text for element in ElementTree.fromstring(shown).iter() if element.tag.endswith("text")]
    assert texts == ["".join(c if c.isprintable() else "\ufffd" for c in name)]
    save_figure(titled(name), tmp_path / "f.png")
