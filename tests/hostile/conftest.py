import pytest

from kattn.data.errors import DataError


@pytest.fixture
def no_download(monkeypatch):
    """Downloads are recorded, and fail."""
    from kattn.data.tfds import reading

    asked = []

    def prepare(name, root, data_dir):
        asked.append((name, data_dir))
        raise DataError("no download here")

    monkeypatch.setattr(reading, "prepare", prepare)
    return asked
