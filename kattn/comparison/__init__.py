"""Comparisons: models trained alike with several seeds, their differences, and what these allow to say."""

from typing import TYPE_CHECKING

from kattn.lazy import face

if TYPE_CHECKING:
    from kattn.comparison.comparing import compare as compare
    from kattn.comparison.errors import ComparisonError as ComparisonError
    from kattn.comparison.results import Comparison as Comparison

__getattr__, __dir__ = face(__name__, {"Comparison": "results", "ComparisonError": "errors", "compare": "comparing"})
