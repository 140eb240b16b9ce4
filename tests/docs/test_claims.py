"""Numbers that the pages state are those of the code."""

import re

from support.pages import PAGES

from kattn.data.images import MAX_PIXELS
from kattn.export.formats import DYNAMIC, FLOAT16, FLOAT32, INT8, INT16
from kattn.export.ranges import SHARES
from kattn.export.to_onnx.quantise import METHODS
from kattn.graph.sizes import MARGIN
from kattn.hdf5 import EXPANSION, MOST_OBJECTS


def text_of(name):
    return " ".join(PAGES[name].read_text(encoding="utf-8").split())


def test_limits_of_eight_bits_are_those_of_the_table():
    page = text_of("export.md")
    rows = dict(re.findall(r"\| `(\w+)` \| [^|]* \| [^|]*\(([0-9.]+)[^|]*\) \|", page))
    shares = ("classes", "binary", "attributes", "map")
    limits = dict.fromkeys(shares, INT8.min_agreement) | {"values": INT8.max_error}
    limits |= {"embedding": INT8.min_cosine, "integers": INT8.min_equal}
    assert {kind: float(number) for kind, number in rows.items()} == limits
    assert set(re.findall(r"error(?: of the log-odds)? \(([0-9.]+)\)", page)) == {str(INT8.max_error)}
    assert f"`dynamic` and `int16` have {DYNAMIC.min_agreement} for the shares" in page
    assert (DYNAMIC.min_agreement, DYNAMIC.max_error) == (INT16.min_agreement, INT16.max_error)
    assert f"and {DYNAMIC.max_error} for the errors" in page
    assert f"a limit of {FLOAT32.max_error} and {FLOAT16.max_error} for the error" in page


def test_methods_of_calibration_are_named():
    page = text_of("export.md")
    assert all(f'"{name}"' in page for name in METHODS)
    assert set(METHODS) - set(SHARES) == {"entropy"} and '`"entropy"`, in ONNX only' in page


def test_limits_of_files_are_those_of_the_table():
    page = text_of("security.md")
    assert f"{MAX_PIXELS // 10**6} million" in page and f"{EXPANSION} times the file's size" in page
    assert f"{MOST_OBJECTS:,}, in groups" in page and f"and {MARGIN // 10**6} million" in page
