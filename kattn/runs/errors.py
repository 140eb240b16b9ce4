"""What runs raise."""

from __future__ import annotations


class RunError(RuntimeError):
    """A run's folder that cannot be used as asked: what is there, and what to do."""
