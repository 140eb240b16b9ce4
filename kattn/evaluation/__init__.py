"""Evaluation of anything that gives predictions: runs, Keras models, exported files."""

from typing import TYPE_CHECKING

from kattn.lazy import face

if TYPE_CHECKING:
    from kattn.evaluation.evaluation import AttributeEvaluation as AttributeEvaluation
    from kattn.evaluation.evaluation import Evaluation as Evaluation
    from kattn.evaluation.evaluation import evaluate as evaluate

__getattr__, __dir__ = face(
    __name__,
    {
        "AttributeEvaluation": "evaluation",
        "Evaluation": "evaluation",
        "evaluate": "evaluation",
    },
)
