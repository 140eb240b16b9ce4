"""NumPy's archives: whatever a header holds, the error is one kind."""

import zipfile

import numpy as np
import pytest

from kattn.npz import UnreadableNpz, open_npz


def with_header(path, header):
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.npy", content + bytes(64))
    return path


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (4,",  # the tokenizer's own error
        b"(" * 500,
        b"\xff\xfe",
        b"3",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (-4,)}",
        b"{'descr': '|O', 'fortran_order': False, 'shape': (4,)}",
        b"{'descr': '|U4', 'fortran_order': False, 'shape': (4,)}",
        b"{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (4,)}",
    ],
)
def test_a_header_that_is_none_is_one_kind_of_error(tmp_path, header):
    path = with_header(tmp_path / "a.npz", header)
    with pytest.raises(UnreadableNpz, match=r"a\.npz' is not a readable \.npz file"), open_npz(path):
        pass


def test_shapes_come_without_values_and_text_only_where_it_is_asked_for(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.arange(6).reshape(2, 3), b=np.array("text"))
    with open_npz(tmp_path / "a.npz", text=True) as (shapes, read):
        assert shapes == {"a": (2, 3), "b": ()} and read("a").tolist() == [[0, 1, 2], [3, 4, 5]] and read("b") == "text"
    with pytest.raises(UnreadableNpz, match="something other than numbers"), open_npz(tmp_path / "a.npz"):
        pass
