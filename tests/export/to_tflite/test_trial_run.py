"""A file whose kernels end the process ends another one."""

import pytest

from kattn.export import ExportError
from kattn.export.to_tflite.trial_run import run_in_subprocess


def test_a_file_that_runs(artefacts):
    run_in_subprocess(artefacts / "m.tflite")


def test_a_file_that_fails_is_an_error_with_its_reason(tmp_path):
    (tmp_path / "m.tflite").write_bytes(b"\0\0\0\0TFL3 and nothing else")
    with pytest.raises(ExportError, match=r"cannot run the \.tflite file: ValueError"):
        run_in_subprocess(tmp_path / "m.tflite")


def test_a_file_that_ends_the_process_is_an_error(tmp_path, monkeypatch):
    from kattn.export.to_tflite import trial_run

    monkeypatch.setattr(trial_run, "SCRIPT", "import os; os.abort()")
    with pytest.raises(ExportError, match=r"ends the process \(signal 6\)"):
        run_in_subprocess(tmp_path / "m.tflite")
    monkeypatch.setattr(trial_run, "SCRIPT", "import time; time.sleep(60)")
    monkeypatch.setattr(trial_run, "SECONDS", 0.1)
    with pytest.raises(ExportError, match="did not run through"):
        run_in_subprocess(tmp_path / "m.tflite")
