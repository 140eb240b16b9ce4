"""The first command gives what it promises."""

import csv
import functools
import json

import pytest

from kattn.cli import quickstart
from kattn.locking import InUse, locked_folder

MADE = [
    ("SavedModel", ""),
    *(("TFLite", precision) for precision in ("float32", "float16", "dynamic", "int8")),
    *(("ONNX", precision) for precision in ("float32", "float16", "int8")),
]


def check(folder, rows, table):
    names = [row.format for row in rows]
    assert names == ["Keras", *(f"{title} {precision}".strip() for title, precision in MADE)]
    for row in rows:
        assert (folder / row.file).exists() and f"| {row.format} " in table
        if row.format in ("SavedModel", "TFLite float32", "ONNX float32"):
            assert row.max_abs_diff < 1e-4 and row.accuracy == rows[0].accuracy
    assert [r["format"] for r in csv.DictReader((folder / "quickstart.csv").read_text().splitlines())] == names
    assert len(json.loads((folder / "quickstart.json").read_text())) == len(rows)
    assert (folder / "quickstart.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "quickstart.md").read_text().strip() in table


def test_one_epoch_gives_all_files_the_table_and_the_picture(tmp_path, capsys, monkeypatch):
    small = {"depths": (1, 1, 1), "widths": (8, 8, 16)}
    monkeypatch.setattr(quickstart, "train", functools.partial(quickstart.train, options=small))
    rows = quickstart.run(out=tmp_path / "run", epochs=1)
    check(tmp_path / "run", rows, capsys.readouterr().out)
    assert not list((tmp_path / "run").glob(".*"))


def test_a_second_one_in_a_folder_is_refused_to_the_end_of_the_first(tmp_path, capsys):
    with locked_folder(tmp_path / "run", quickstart.LOCK), pytest.raises(InUse, match="in use by process"):
        quickstart.run(out=tmp_path / "run")
    assert capsys.readouterr().out == "" and not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("model", ["afi_resnet20", "cbam_resnet20"])
def test_the_whole_run_is_as_accurate_as_the_readme_says(tmp_path, capsys, model):
    rows = quickstart.run(model=model, out=tmp_path / "run")
    check(tmp_path / "run", rows, capsys.readouterr().out)
    accuracy = {row.format: row.accuracy for row in rows}
    assert accuracy["Keras"] >= 0.97
    assert abs(accuracy["TFLite int8"] - accuracy["Keras"]) <= 0.01
