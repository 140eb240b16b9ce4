"""Data sets that are not on disk: an unknown name, no package, no connection."""

import sys
import time

import pytest

from kattn.data.errors import DataError
from kattn.data.loading import load


def test_an_unknown_name_names_the_closest(tmp_path, monkeypatch):
    class Builders:
        @staticmethod
        def list_builders(with_community_datasets):
            return ["cifar10", "cifar100", "mnist"]

    monkeypatch.setitem(sys.modules, "tensorflow_datasets", Builders)
    with pytest.raises(DataError, match=r"Unknown data 'cifr10'.*Closest: cifar10, cifar100"):
        load("cifr10", data_dir=tmp_path)


def test_without_tensorflow_datasets_the_error_says_where_it_looked(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(DataError, match=f"not among the data sets under {tmp_path}.*set data_dir or TFDS_DATA_DIR"):
        load("cifar10", data_dir=tmp_path)


def test_a_download_that_fails_is_one_clear_error(tmp_path, monkeypatch):
    class Builders:
        list_builders = staticmethod(lambda with_community_datasets: ["cifar10"])

        @staticmethod
        def builder(name, data_dir, file_format):
            raise ConnectionError("no route to host")

    monkeypatch.setitem(sys.modules, "tensorflow_datasets", Builders)
    with pytest.raises(DataError, match="could not be downloaded: no route to host"):
        load("cifar10", data_dir=tmp_path)


class Offline:
    """tensorflow-datasets, as far as it is asked, on a machine without a network."""

    url_infos = {"http://127.0.0.1:1/a.zip": None, "http://nowhere.invalid/b.zip": None}  # noqa: RUF012
    data_path = "prepared"
    list_builders = staticmethod(lambda with_community_datasets: ["cifar10"])

    @classmethod
    def builder(cls, name, data_dir, file_format):
        return cls()

    def download_and_prepare(self):
        raise AssertionError("a download was tried")


def test_without_a_connection_no_download_is_tried(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", Offline)
    start = time.monotonic()
    with pytest.raises(DataError, match=r"could not be downloaded: no connection to .*127\.0\.0\.1:1.*set data_dir"):
        load("cifar10", data_dir=tmp_path)
    assert time.monotonic() - start < 10


def test_one_server_that_answers_is_enough_to_try(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", Offline)
    monkeypatch.setattr("kattn.data.tfds.download._answers", lambda url: "nowhere" in url)
    with pytest.raises(DataError, match="a download was tried"):
        load("cifar10", data_dir=tmp_path)
