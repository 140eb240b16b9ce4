"""The certificate beside an artefact, that of an earlier version too."""

from __future__ import annotations

from support import DATA
from support.small_models import coloured

from kattn.export import Report, load
from kattn.export.proof.report import sha256_of, size_of

EARLIER = DATA / "artefacts" / "m.tflite"  # written before kattn.export.formats was


def test_an_earlier_certificate_is_read_and_is_about_its_file(tmp_path):
    report = Report.read(EARLIER.with_name("m.tflite.json"))
    assert (report.format, report.precision, report.top1_agreement) == ("tflite", "int8", 1.0)
    assert (report.sha256, report.bytes) == (sha256_of(EARLIER), size_of(EARLIER))
    assert report.layers and report.delegates["XNNPACK"]["takes"] and "kattn" in report.versions
    report.write(tmp_path / "again.json")
    assert Report.read(tmp_path / "again.json") == report
    assert "agreement where the model is sure" in str(report)


def test_an_earlier_artefact_runs():
    images, classes = coloured(10)
    assert (load(EARLIER)(images)["predictions"].argmax(1) == classes).mean() > 0.5
