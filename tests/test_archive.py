"""Archives that mean harm, or are broken: a clear error."""

import io
import zipfile

import pytest

from kattn.archive import ArchiveError, ArchiveTooLarge, copy_member

CONTENT = bytes(range(256)) * 400


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as content:
        content.writestr("weights.h5", CONTENT)
    return path


def change(path, *offsets, value=0xFF):
    data = bytearray(path.read_bytes())
    for offset in offsets:
        data[offset] = value
    path.write_bytes(data)


def test_the_file_is_copied_as_it_is(archive):
    target = io.BytesIO()
    copy_member(archive, "weights.h5", target, len(CONTENT))
    assert target.getvalue() == CONTENT


def test_what_swells_beyond_the_limit_is_stopped(archive):
    with pytest.raises(ArchiveTooLarge):
        copy_member(archive, "weights.h5", io.BytesIO(), len(CONTENT) - 1)


def damaged(path):
    change(path, *range(60, 70))


def cut(path):
    path.write_bytes(path.read_bytes()[:100])


def locked(path):
    central = path.read_bytes().index(b"PK\x01\x02")
    change(path, 6, central + 8, value=1)


def unknown_compression(path):
    central = path.read_bytes().index(b"PK\x01\x02")
    change(path, 8, central + 10, value=99)


@pytest.mark.parametrize("spoil", [damaged, cut, locked, unknown_compression])
def test_a_broken_archive_is_an_archive_error(spoil, archive):
    spoil(archive)
    with pytest.raises(ArchiveError):
        copy_member(archive, "weights.h5", io.BytesIO(), len(CONTENT))


def test_a_missing_file_is_named(archive):
    with pytest.raises(ArchiveError, match=r"other\.h5"):
        copy_member(archive, "other.h5", io.BytesIO(), len(CONTENT))
