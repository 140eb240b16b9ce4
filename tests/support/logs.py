"""What kattn logs, of all that is logged."""

from __future__ import annotations

from typing import Any


def said(caplog: Any) -> list[str]:
    """kattn's own lines: TensorFlow has lines of its own, such as how often a function was traced."""
    return [record.getMessage() for record in caplog.records if record.name.startswith("kattn")]
