"""Keep the warnings, logs and prints of converters from the user, and show them if a converter fails."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator

from kattn.export.errors import ExportError

LOGGERS = ("absl", "tensorflow", "tf2onnx", "onnxslim", "onnxruntime", "root")
LAST_CHARACTERS = 1500


@contextlib.contextmanager
def converting(what: str) -> Iterator[None]:
    """Run a converter in silence; its failure becomes one ExportError with the end of what it printed.

    Errors of the file system and ExportErrors pass as they are.

    Args:
        what: Subject of the error's sentence: "TensorFlow Lite's converter".
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as captured:
        try:
            with (
                warnings.catch_warnings(),
                _quiet_logs(),
                _redirected(captured.fileno()),
                contextlib.redirect_stdout(captured),
            ):
                warnings.simplefilter("ignore")
                yield
        except (ExportError, OSError):
            raise
        except Exception as error:
            if "No space left on device" in str(error) or "File too large" in str(error):
                raise OSError(28, "No space left on device") from error
            captured.flush()
            captured.seek(0)
            printed = captured.read().strip()[-LAST_CHARACTERS:]
            message = f"{what} failed: {type(error).__name__}: {str(error).strip()[:LAST_CHARACTERS]}"
            cause = None if isinstance(error, StopIteration) else error  # which a context manager would raise instead
            raise ExportError(f"{message}\nIt had printed: {printed}" if printed else message) from cause


@contextlib.contextmanager
def _quiet_logs() -> Iterator[None]:
    loggers = [logging.getLogger(None if name == "root" else name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def _redirected(descriptor: int) -> Iterator[None]:
    """Send the process's error stream to a file: C++ code writes past Python's sys.stderr."""
    with contextlib.suppress(Exception):
        sys.stderr.flush()
    try:
        saved = os.dup(2)
    except OSError:  # no error stream at all, as in a service
        yield
        return
    try:
        os.dup2(descriptor, 2)
        yield
    finally:
        with contextlib.suppress(Exception):
            sys.stderr.flush()
        os.dup2(saved, 2)
        os.close(saved)
