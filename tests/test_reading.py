"""JSON and CSV of unknown makers: bounded, one kind of error; tables are read as they were written."""

import json

import pytest

from kattn import reading
from kattn.files import write_csv
from kattn.reading import Unreadable, read_json, read_rows, read_text


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "is damaged: it is no JSON"),
        (b"[1]", "is damaged: it holds a list instead of named values"),
        (b"\xff", "is damaged: 'utf-8' codec"),
        (b'{"a":' * 10_000, "lists within lists without end"),
        (b'{"a": ' + b"1" * 5000 + b"}", "is damaged"),
        (b'{"a": [' + b"[]," * 500_001 + b"[]]}", "more than 500,000, and is not read"),
    ],
)
def test_what_is_no_json_table_is_one_kind_of_error(content, reason, tmp_path):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(Unreadable, match=reason):
        read_json(tmp_path / "a.json")


def test_a_file_is_read_up_to_its_limit(tmp_path):
    (tmp_path / "a").write_text("12345")
    assert read_text(tmp_path / "a", 5) == "12345"
    with pytest.raises(Unreadable, match="has more than 4 bytes"):
        read_text(tmp_path / "a", 4)
    (tmp_path / "a.json").write_text(json.dumps({"a": [1, "x"]}))
    assert read_json(tmp_path / "a.json") == {"a": [1, "x"]}


CELLS = [
    "=1+1",
    "+x",
    "-x",
    "@SUM(A1)",
    "\tx",
    "a\rb",
    "a\nb",
    "'-5",
    "\rx",
    "'=1",
    "''=1",
    "'",
    "'x",
    "-1.5e3",
    "+2",
    "-",
    "a\n=b",
    'a"b,c',
    "",
]


def test_text_that_a_spreadsheet_would_execute_is_quoted_and_read_back_equal(tmp_path):
    write_csv(tmp_path / "a.csv", [{"=name": cell, "number": -0.5} for cell in CELLS])
    rows = read_rows(tmp_path / "a.csv")
    assert [row["=name"] for row in rows] == CELLS and {row["number"] for row in rows} == {"-0.5"}
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert lines[0] == "'=name,number" and lines[1] == "'=1+1,-0.5"
    assert "-1.5e3,-0.5" in lines and "+2,-0.5" in lines, "numbers stay numbers"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a,b\n1\n", "line 2 has 1 cells, the first 2"),
        (b"a\n1,2\n", "line 2 has 2 cells, the first 1"),
        (b'a\n"' + b"x" * 200_000 + b'"\n', "field larger than field limit"),
    ],
)
def test_a_damaged_table_is_one_kind_of_error(content, reason, tmp_path):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(Unreadable, match=reason):
        read_rows(tmp_path / "a.csv")


def test_a_table_has_a_largest_number_of_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MOST_ROWS", 2)
    (tmp_path / "a.csv").write_text("a\n1\n2\n3\n")
    with pytest.raises(Unreadable, match="has more than 2 rows"):
        read_rows(tmp_path / "a.csv")


def test_a_row_with_an_unknown_column_is_not_lost(tmp_path):
    with pytest.raises(ValueError, match="no column is named b"):
        write_csv(tmp_path / "a.csv", [{"a": 1}, {"a": 1, "b": 2}])
