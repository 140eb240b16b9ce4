"""What is imported first: Keras without TensorFlow's start-up messages, and Python files of the user's."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path


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


def import_file(file: str) -> None:
    """Run a Python file as a module of its name, so that what it registers is known.

    Raises: ValueError for a file that is not there, or is no module.
    """
    path = Path(file).expanduser()
    spec = importlib.util.spec_from_file_location(path.stem, path) if path.is_file() else None
    if spec is None or spec.loader is None:
        raise ValueError(f"--import takes a Python file, such as my_layers.py. Received: {file!r}")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    spec.loader.exec_module(module)
