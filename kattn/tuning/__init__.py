"""Search over the options of a mechanism and of its recipe, within a budget; KerasTuner underneath."""

from typing import TYPE_CHECKING

from kattn.lazy import face

if TYPE_CHECKING:
    from kattn.tuning.hypermodel import AttentionHyperModel as AttentionHyperModel
    from kattn.tuning.records import SearchError as SearchError
    from kattn.tuning.results import Search as Search
    from kattn.tuning.results import read_best as read_best
    from kattn.tuning.search import tune as tune

__getattr__, __dir__ = face(
    __name__,
    {
        "AttentionHyperModel": "hypermodel",
        "Search": "results",
        "SearchError": "records",
        "read_best": "results",
        "tune": "search",
    },
)
