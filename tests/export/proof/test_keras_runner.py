"""Keras's own files are read, and what hinders that is named."""

from __future__ import annotations

import errno
import tempfile

import keras
import pytest

from kattn.export.proof.keras_runner import read_keras


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_not_blamed_on_the_file(number, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(number, "No space left")

    path = tmp_path / "m.keras"
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(path)
    read_keras(path)
    monkeypatch.setattr(keras.saving, "load_model", full)
    with pytest.raises(OSError, match=f"m.keras could not be unpacked in {tempfile.gettempdir()}: the disk is full"):
        read_keras(path)
