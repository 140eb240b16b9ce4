"""Which files of a folder are images."""

import os

import pytest
from PIL import Image
from support.image_files import encoded

from kattn.data.errors import DataError
from kattn.data.image_files import copies, find_images, folders_in, format_of

PICTURE = Image.new("RGB", (4, 4), "red")
PNG = encoded(PICTURE, "png")


def names(files, root):
    return [str(file.relative_to(root)) for file in files]


def test_images_are_known_by_name_or_by_content_and_the_rest_is_told_apart(tmp_path):
    contents = {
        "a.JPG": b"broken",
        "b.heic": b"",
        "photo": encoded(PICTURE, "jpeg"),
        "scan": encoded(PICTURE, "tiff"),
        "sub/c.data": PNG,
        "raw.nef": encoded(PICTURE, "tiff"),
        "notes.txt": b"text",
        "BMW.txt": b"BMW is a make of cars, and no bitmap",
    }
    for name, content in contents.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    found = find_images(tmp_path)
    assert names(found.images, tmp_path) == ["a.JPG", "b.heic", "photo", "scan", "sub/c.data"]
    assert names(found.others, tmp_path) == ["BMW.txt", "notes.txt", "raw.nef"]
    assert names(find_images(tmp_path, inside=False).images, tmp_path) == ["a.JPG", "b.heic", "photo", "scan"]


@pytest.mark.parametrize("kind", ["jpeg", "png", "gif", "webp", "bmp", "tiff", "avif", "jpeg2000"])
def test_a_format_is_known_by_its_first_bytes(kind):
    try:
        content = encoded(PICTURE, kind)
    except (KeyError, OSError):
        pytest.skip(f"this Pillow does not write {kind}")
    assert format_of(content[:32]) == kind.upper()


def test_what_systems_leave_behind_is_not_looked_at(tmp_path):
    for name in ("._a.png", ".hidden.png", "Thumbs.db", "Desktop.ini", "a.png"):
        (tmp_path / name).write_bytes(PNG)
    for name in ("__MACOSX", "@eaDir", ".thumbnails", "Thumbnails", "$RECYCLE.BIN", "good"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "b.png").write_bytes(PNG)
    found = find_images(tmp_path)
    assert names(found.images, tmp_path) == ["a.png", "good/b.png"] and not found.others
    assert names(folders_in(tmp_path), tmp_path) == ["good"]


def test_links_are_followed_but_not_in_circles(tmp_path):
    (tmp_path / "data" / "sub").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "far.png").write_bytes(PNG)
    (tmp_path / "data" / "a.png").write_bytes(PNG)
    for name, target in (
        ("linked.png", tmp_path / "elsewhere" / "far.png"),
        ("linked", tmp_path / "elsewhere"),
        ("again", tmp_path / "elsewhere"),
        ("up", tmp_path),
        ("sub/itself", tmp_path / "data" / "sub"),
        ("lost.png", tmp_path / "nowhere.png"),
        ("lost.txt", tmp_path / "nowhere.txt"),
    ):
        (tmp_path / "data" / name).symlink_to(target)
    os.mkfifo(tmp_path / "data" / "pipe.png")
    found = find_images(tmp_path / "data")
    assert names(found.images, tmp_path / "data")[0] == "a.png"
    assert names(found.images, tmp_path / "data")[2:] == ["linked.png", "lost.png"]
    assert found.images[1].name == "far.png" and len(found.images) == 4
    assert names(found.others, tmp_path / "data") == ["lost.txt"]
    assert "up" not in names(folders_in(tmp_path / "data"), tmp_path / "data")


def test_copies_are_files_of_the_same_bytes(tmp_path):
    for name, content in {"a": b"12", "b": b"12", "c": b"21", "d": b"123", "e": b"12"}.items():
        (tmp_path / name).write_bytes(content)
    groups = copies([*sorted(tmp_path.iterdir()), tmp_path / "nowhere"])
    assert [names(group, tmp_path) for group in groups] == [["a", "b", "e"]]


def test_a_folder_that_cannot_be_read_is_one_clear_error(tmp_path):
    with pytest.raises(DataError, match="nowhere cannot be read: No such file"):
        folders_in(tmp_path / "nowhere")
    with pytest.raises(DataError, match="nowhere cannot be read"):
        find_images(tmp_path / "nowhere")
