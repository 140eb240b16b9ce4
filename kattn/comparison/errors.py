"""What comparisons raise."""

from __future__ import annotations


class ComparisonError(RuntimeError):
    """A comparison that cannot go on, or a folder that cannot be used as asked; the message says what to do."""
