"""What an export raises."""

from __future__ import annotations


class ExportError(RuntimeError):
    """Conversion, a check or the disk failed; nothing was left under the name asked for."""


class ExportInputError(ExportError, ValueError):
    """What was asked for cannot be exported: the model, an argument, the images or the artefact given is not usable."""
