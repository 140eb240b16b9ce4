"""Export's work in the child that is watched (`kattn.apart`): its errors are export's, and arrays travel as files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kattn import apart
from kattn.export.errors import ExportError, ExportInputError


class ChildEnded(ExportError):
    """The child died while it worked.

    Attributes:
        how: "signal SIGSEGV" or "status 1".
    """

    def __init__(self, ended: apart.ChildEnded) -> None:
        self.how = ended.how
        super().__init__(str(ended))


def run_apart(task: str, what: str, **arguments: Any) -> Any:
    """As `kattn.apart.run_apart`.

    Raises: ChildEnded, an ExportError, if the child died; what the function raises, as ExportError, ExportInputError or
        OSError.
    """
    try:
        return apart.run_apart(task, what, errors=(ExportError, ExportInputError), **arguments)
    except apart.ChildEnded as error:
        raise ChildEnded(error) from None
    except apart.UnforeseenError as error:
        raise ExportError(str(error)) from None


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> str:
    """Write named arrays for the other process; returns the path as an argument of a task."""
    numbered = {str(i): array for i, array in enumerate(arrays.values())}
    with path.open("wb") as file:
        np.savez(file, names=np.array(list(arrays), dtype=str), **numbered)  # type: ignore[arg-type]
    return str(path)


def load_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """What `save_arrays` wrote."""
    with np.load(path) as file:
        return {str(name): file[str(i)] for i, name in enumerate(file["names"])}
