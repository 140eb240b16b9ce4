"""The reader of image files: modes, sizes, and files made to do harm."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps
from support.image_files import encoded, exif

from kattn.data.errors import DataError
from kattn.data.images import DEEP, FIRST_FRAME, ON_WHITE, TURNED, read_image
from kattn.data.resizing import shown_box

RGB = np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype("uint8")
GREY = RGB[..., 0]
COLOUR = Image.fromarray(RGB)


@pytest.mark.parametrize("size", [(10, 10), (7, 25), (25, 7), (40, 60), (20, 30)])
def test_by_default_the_shorter_side_is_scaled_and_the_middle_cut_out_as_pillows_fit_does(size):
    expected = ImageOps.fit(COLOUR, size[::-1], Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(read_image(encoded(COLOUR, "png"), size).pixels, np.asarray(expected))


def test_stretching_changes_the_proportions_and_padding_keeps_everything():
    content = encoded(COLOUR, "png")
    stretched = read_image(content, (10, 10), resize="stretch", interpolation="bilinear")
    np.testing.assert_array_equal(stretched.pixels, np.asarray(COLOUR.resize((10, 10), Image.Resampling.BILINEAR)))
    assert stretched.box == (0, 0, 20, 30)
    padded = read_image(content, (12, 12), resize="pad", interpolation="nearest")
    np.testing.assert_array_equal(padded.pixels[2:10], np.asarray(COLOUR.resize((12, 8), Image.Resampling.NEAREST)))
    assert not padded.pixels[:2].any() and not padded.pixels[10:].any()
    assert padded.box == (-5, 0, 25, 30)
    assert shown_box(20, 30, (10, 10)) == (0, 5, 20, 25)


def test_opacity_is_kept_for_four_channels_and_laid_on_white_for_others():
    opacity = np.where(np.arange(30) < 15, 51, 255) * np.ones((20, 1))
    content = encoded(Image.fromarray(np.dstack([RGB, opacity]).astype("uint8")), "png")
    four, three, one = (read_image(content, channels=channels) for channels in (4, 3, 1))
    np.testing.assert_array_equal(four.pixels, np.dstack([RGB, opacity]))
    expected = np.where(np.arange(30)[None, :, None] < 15, RGB * 0.2 + 255 * 0.8, RGB)
    assert np.abs(three.pixels - expected).max() <= 0.5
    assert one.pixels.shape == (20, 30, 1)
    assert (four.notes, three.notes) == ((), (ON_WHITE, "converted from RGBA to RGB"))
    opaque = read_image(encoded(COLOUR, "png"), channels=4).pixels
    np.testing.assert_array_equal(opaque[..., :3], RGB)
    assert (opaque[..., 3] == 255).all()


def test_a_transparent_colour_of_a_palette_is_white():
    palette = COLOUR.quantize(16)
    reading = read_image(encoded(palette, "png", transparency=3))
    assert (reading.pixels[np.asarray(palette) == 3] == 255).all()
    assert ON_WHITE in reading.notes


@pytest.mark.parametrize("kind", ["png", "tiff", "ppm"])
def test_of_sixteen_bits_the_higher_eight_are_kept(kind):
    deep = Image.fromarray(GREY.astype("uint16") * 256 + 255)
    reading = read_image(encoded(deep.convert("I") if kind == "ppm" else deep, kind), channels=1)
    np.testing.assert_array_equal(reading.pixels[..., 0], GREY)
    assert DEEP in reading.notes


def test_sixteen_bits_of_colour_are_noted_too():
    rows = b"".join(b"\0" + (row.astype(">u2") * 257).tobytes() for row in RGB)
    content = png_chunks((b"IHDR", struct.pack(">IIBBBBB", 30, 20, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)))
    reading = read_image(content)
    np.testing.assert_array_equal(reading.pixels, RGB)
    assert reading.notes == (DEEP,)


def png_chunks(*chunks):
    whole = b"\x89PNG\r\n\x1a\n"
    for kind, data in (*chunks, (b"IEND", b"")):
        whole += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return whole


@pytest.mark.parametrize("values", [GREY / 255, GREY - 300.0, GREY * 257.0, GREY * np.nan])
def test_floats_whose_white_is_not_known_are_refused(values):
    with pytest.raises(DataError, match=r"floats from .* for which black and white are not known"):
        read_image(encoded(Image.fromarray(values.astype("float32")), "tiff"))


def test_the_record_says_what_was_done():
    grey = Image.fromarray(GREY)
    two = encoded(grey, "gif", save_all=True, append_images=[ImageOps.invert(grey)])
    assert read_image(two, channels=1).notes[0] == FIRST_FRAME
    turned = read_image(encoded(COLOUR, "jpeg", exif=exif(8)))
    assert turned.notes == (TURNED,) and turned.size == (30, 20) == turned.pixels.shape[:2]
    assert read_image(encoded(COLOUR, "png")).notes == ()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_large_photograph_held_in_any_way_is_read_as_one_held_upright(orientation):
    upright = Image.fromarray(np.kron(RGB, np.ones((16, 16, 1), "uint8")))
    camera = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the transposition that each orientation undoes
    held = upright.transpose(Image.Transpose(camera[orientation])) if orientation > 1 else upright
    content = encoded(held, "jpeg", quality=100, subsampling=0, exif=exif(orientation))
    reading = read_image(content, (20, 60))
    expected = read_image(encoded(upright, "png"), (20, 60)).pixels
    assert reading.size == (320, 480)
    assert np.abs(reading.pixels.astype(int) - expected).mean() < 2


def test_channels_that_are_not_said_are_one_for_grey_files_and_three_for_others():
    for image, channels in (
        (Image.fromarray(GREY), 1),
        (COLOUR, 3),
        (COLOUR.quantize(8), 3),
        (COLOUR.convert("LA"), 1),
    ):
        assert read_image(encoded(image, "png"), channels=None).pixels.shape[2] == channels


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 2}, "with 1, 3 or 4 channels. Received: channels=2"),
        ({"size": (8, 0)}, r"height and width, each 1 to 16384\. Received: \(8, 0\)"),
        ({"resize": "croop"}, "Unknown resize 'croop'. Closest: crop"),
        ({"interpolation": "bicubik"}, "Unknown interpolation 'bicubik'. Closest: bicubic"),
    ],
)
def test_arguments_that_do_not_exist_are_named(options, message):
    with pytest.raises(DataError, match=message):
        read_image(encoded(COLOUR, "png"), **{"size": (8, 8), **options})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "its content is none of the formats that are read, JPEG"),
        (b"no image", "its content is none of the formats"),
        (encoded(COLOUR, "png")[:40], "x is no readable image"),
        (b"\x89PNG\r\n\x1a\n no PNG", "it begins as PNG, and then is damaged"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "it is a HEIC file: convert it to JPEG"),
    ],
)
def test_what_cannot_be_read_is_said_with_the_reason(content, reason):
    with pytest.raises(DataError, match=reason):
        read_image(content, name="x")
    with pytest.raises(DataError, match=r"nowhere\.png is no readable image: No such file"):
        read_image("nowhere.png")


def test_no_file_starts_another_program(monkeypatch, tmp_path):
    def started(*arguments, **options):
        raise AssertionError("a program was started")

    monkeypatch.setattr("subprocess.Popen", started)
    file = tmp_path / "picture.png"
    file.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n%%EndComments\nshowpage\n%%EOF\n")
    with pytest.raises(DataError, match="its content is none of the formats"):
        read_image(file)


def test_a_picture_of_too_many_pixels_is_refused_by_its_header_and_read_when_it_is_asked_for(monkeypatch):
    bomb = png_chunks((b"IHDR", struct.pack(">IIBBBBB", 13300, 13300, 8, 2, 0, 0, 0)), (b"IDAT", b""))
    with pytest.raises(DataError, match=r"13300 x 13300 = 176,890,000 pixels, more than max_pixels=120,000,000"):
        read_image(bomb, (16, 16))
    with pytest.raises(DataError, match=r"more than max_pixels=599\. To read it"):
        read_image(encoded(COLOUR, "png"), max_pixels=599)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # Pillow's own limit, which would warn and then stop
    assert read_image(encoded(COLOUR, "png"), max_pixels=600).pixels.shape == (20, 30, 3)
    assert Image.MAX_IMAGE_PIXELS == 10
