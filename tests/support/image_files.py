"""Folders of image files, and one image in every form that files come in."""

import io

import numpy as np
from PIL import Image, ImageCms

SIZE = (24, 36)  # height and width of the image in every form


def write_folder(root, classes=("ant", "bee"), count=10, size=(9, 12), mode="RGB"):
    """Folders of classes; every image has a colour of its own, and 100 times its class as red."""
    for c, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for i in range(count):
            color = (100 * c, i % 256, i // 256) if mode == "RGB" else 100 * c + i
            Image.new(mode, size[::-1], color).save(root / name / f"{i:02d}.png")


def grey_pixels(seed=0, size=SIZE):
    """Smooth grey values that are the same in red, green and blue, so that every form can hold them exactly."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (4, 6), dtype="uint8"))
    return np.asarray(coarse.resize(size[::-1], Image.Resampling.BICUBIC))


def encoded(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def exif(orientation):
    entry = Image.Exif()
    entry[0x0112] = orientation
    return entry.tobytes()


def forms():
    """File names and contents of one image in the forms of the world; all but "huge" hold the same pixels."""
    pixels = grey_pixels()
    grey = Image.fromarray(pixels)
    colour = grey.convert("RGB")
    other = Image.fromarray(255 - pixels)
    huge = Image.fromarray(grey_pixels(size=(1500, 2000))).convert("RGB")
    deep = Image.fromarray(pixels.astype("uint16") * 257)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return {
        "01_plain.png": encoded(colour, "png", icc_profile=profile),
        "02_turned.png": encoded(colour.rotate(90, expand=True), "png", exif=exif(6)),
        "03_palette.png": encoded(grey.convert("P"), "png"),
        "04_grey.bmp": encoded(grey, "bmp"),
        "05_alpha.png": encoded(colour.convert("RGBA"), "png"),
        "06_cmyk.tiff": encoded(colour.convert("CMYK"), "tiff"),
        "07_deep.png": encoded(deep, "png"),
        "08_animated.gif": encoded(grey, "gif", save_all=True, append_images=[other]),
        "09_lossless.webp": encoded(colour, "webp", lossless=True),
        "10_interlaced.png": interlaced(pixels),
        "11_odd": encoded(colour, "png"),
        "12_UPPER.PNG": encoded(colour, "png"),
        "13_wrong.jpg": encoded(colour, "png"),
        "14_stripes.jfif": encoded(colour, "tiff"),
        "15_deep.tif": encoded(deep, "tiff"),
        "16_grey_alpha.png": encoded(grey.convert("LA"), "png"),
        "17_huge.jpg": encoded(huge, "jpeg", quality=90),
    }


def interlaced(pixels):
    """A grey PNG of Adam7 passes, which Pillow reads and does not write."""
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = pixels.shape
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    rows = b"".join(
        b"\0" + pixels[y, left::across].tobytes()
        for top, left, down, across in passes
        for y in range(top, height, down)
    )
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
