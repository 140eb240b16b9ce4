"""The certificate beside an artefact, that of an earlier version too."""

from __future__ import annotations

import zipfile

from support import DATA

from kattn.export import Report
from kattn.export.proof.report import sha256_of, size_of


def test_an_earlier_certificate_is_read_and_is_about_its_file(tmp_path):
    with zipfile.ZipFile(DATA / "before" / "files.zip") as archive:
        archive.extractall(tmp_path, ["model.tflite", "model.tflite.json"])
    report = Report.read(tmp_path / "model.tflite.json")
    assert (report.format, report.precision) == ("tflite", "float32")
    assert report.sha256 == sha256_of(tmp_path / "model.tflite") and report.bytes == size_of(tmp_path / "model.tflite")
    assert report.delegates["XNNPACK"]["takes"] and "kattn" in report.versions
    report.write(tmp_path / "again.json")
    assert Report.read(tmp_path / "again.json") == report
