"""Maps of image files are drawn into a folder, by the library and by the command."""

import keras
import pytest
from keras import layers
from PIL import Image
from support.explaining import classifier
from support.models import pixels

import kattn.layers as kl
from kattn.cli.main import main
from kattn.explain.reports.map_files import draw_maps


@pytest.fixture
def photos(tmp_path):
    """Two photographs of 40 x 60, and a file that is none."""
    folder = tmp_path / "photos"
    folder.mkdir()
    image = Image.fromarray(pixels((40, 60, 3)).astype("uint8"))
    image.save(folder / "one.png")
    image.convert("CMYK").save(folder / "two.jpg")
    (folder / "broken.jpg").write_text("no image")
    return folder


def test_the_command_draws_overlays_and_a_sheet(run, photos, tmp_path, capsys):
    out, keras_file = tmp_path / "out", tmp_path / "other.keras"
    classifier().save(keras_file)
    asked = ["--method", "grad_cam", "attention", "--class", "3", "--out", str(out), "--format", "svg", "--debug"]
    assert main(["explain", str(run), str(photos), "--beside", str(keras_file), *asked]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [str(out / "sheet.svg"), f"{2 * 2 * 2} overlays at full size, one an image and map, in {out}"]
    files = sorted(path.name for path in out.iterdir())
    assert files[-1] == "sheet.svg" and len(files) == 1 + 2 * 2 * 2
    with Image.open(out / files[0]) as drawn:
        assert drawn.size == (60, 40)
    assert any("other_cbam" in name for name in files)


def test_attention_is_drawn_of_the_last_layer_on_each_size_unless_every_one_is_asked_for(photos, tmp_path):
    x = keras.Input((16, 16, 3), name="image")
    y = kl.CBAM(reduction=1, name="second")(kl.CBAM(reduction=1, name="first")(x))
    model = keras.Model(x, layers.GlobalAveragePooling2D()(y))
    attention = {"methods": ["attention"], "value_range": (0, 255)}
    few = draw_maps({"m": model}, [photos / "one.png"], tmp_path / "few", **attention)
    assert [path.name for path in few] == ["sheet.png", "001_one_second.png"]
    every = draw_maps({"m": model}, [photos / "one.png"], tmp_path / "all", **attention, every_layer=True)
    assert [path.name for path in every[1:]] == ["001_one_first.png", "001_one_second.png"]
    named = draw_maps({"m": model}, [photos / "one.png"], tmp_path / "one", **attention, layer="first")
    assert [path.name for path in named[1:]] == ["001_one_first.png"]


def test_links_in_the_folder_are_replaced_and_long_names_cut(photos, tmp_path):
    out, mine = tmp_path / "out", tmp_path / "mine.txt"
    out.mkdir()
    mine.write_text("mine")
    long = (photos / "one.png").rename(photos / f"{'n' * 250}.png")
    for name in ("sheet.png", f"001_{'n' * 40}_grad_cam.png"):
        (out / name).symlink_to(mine)
    written = draw_maps({"m": classifier()}, [long], out)
    assert not any(path.is_symlink() for path in written) and mine.read_text() == "mine"
    assert sorted(out.iterdir()) == sorted(written) and len(written) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{run}"], "name image files"),
        (["{run}", "{run}/nothing.png"], "no file or folder"),
        (["{run}", "{run}"], "holds no images"),
        (["{run}", "{run}", "--report"], "leave the images out"),
        (["{run}", "--report", "--beside", "{run}"], "leave --beside out"),
        (["{run}/none", "--report"], "no finished run"),
        (["{run}/config.json", "a.png"], "Expected: the folder of a run"),
        (["resnet21", "a.png"], "resnet20"),
    ],
)
def test_an_error_of_the_command_is_one_line(run, capsys, arguments, message):
    assert main(["explain", *(part.format(run=run) for part in arguments)]) == 1
    said = capsys.readouterr().err
    assert message in said and len(said.strip().splitlines()) == 1
