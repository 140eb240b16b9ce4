"""TFDS data sets that are not on disk yet are downloaded and prepared by tensorflow-datasets."""

from __future__ import annotations

import logging
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kattn.data.errors import DataError
from kattn.suggest import closest

log = logging.getLogger("kattn")

TIMEOUT = 5.0  # seconds in which a server must answer
HOSTS = 3  # servers of a data set that are asked


def prepare(name: str, root: Path, data_dir: str | Path | None) -> Path:
    """Download a data set and write it to disk; returns its folder.

    Args:
        name: As in `tfds.load`.
        root: Where it was looked for.
        data_dir: As the caller gave it: None is TFDS's own choice.

    Raises: DataError for an unknown name, without tensorflow-datasets, without a connection (within seconds), and for
        everything that stops the download.
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise DataError(
            f"{name!r} is not among the data sets under {root}, and there is no tensorflow-datasets here to download "
            "it: set data_dir or TFDS_DATA_DIR to where it is, or install tensorflow and tensorflow-datasets."
        ) from error
    base = re.split(r"[/:]", name)[0]
    known = tfds.list_builders(with_community_datasets=False)
    if base not in known:
        close = closest(base, [*known, "digits"])
        hint = f" Closest: {', '.join(close)}." if close else ""
        raise DataError(f"Unknown data {name!r}: no folder of this name, and not in TFDS.{hint} Embedded: digits.")
    log.warning("%s is not under %s: tensorflow-datasets downloads and prepares it", name, root)
    try:
        builder = tfds.builder(name, data_dir=data_dir, file_format="tfrecord")
        _check_connection(builder)
        builder.download_and_prepare()
    except Exception as error:  # whatever stands between here and the source: network, disk, a manual download
        raise DataError(
            f"{name} is not under {root} and could not be downloaded: {str(error).strip()[:300]}"
        ) from error
    return Path(builder.data_path)


def _check_connection(builder: Any) -> None:
    """Raise ConnectionError where none of the data set's servers answers; TFDS itself tries for minutes."""
    addresses = {urlsplit(url).netloc: url for url in reversed(builder.url_infos or {}) if url.startswith("http")}
    asked = list(addresses.values())[:HOSTS]
    if not asked:
        return
    with ThreadPoolExecutor(len(asked)) as pool:
        answers = list(pool.map(_answers, asked))
    if not any(answers):
        hosts = ", ".join(urlsplit(url).netloc for url in asked)
        raise ConnectionError(f"no connection to {hosts}. Check the network, or set data_dir to where the data are.")


def _answers(url: str) -> bool:
    """Whether a server says anything at all, through the proxy of the environment where there is one."""
    import requests

    try:
        requests.head(url, timeout=TIMEOUT).close()
    except (requests.exceptions.SSLError, requests.exceptions.InvalidSchema):
        return True  # the server is there
    except requests.exceptions.RequestException:
        return False
    return True
