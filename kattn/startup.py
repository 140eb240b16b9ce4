"""Keras and its backend, imported without TensorFlow's start-up messages."""

from __future__ import annotations

import os


def import_keras() -> None:
    """Import Keras in silence: TensorFlow reports its processor to stderr before any log level reaches it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nothing:
            os.dup2(nothing.fileno(), 2)
        import keras  # noqa: F401
    finally:
        os.dup2(kept, 2)
        os.close(kept)
