"""Evaluation of anything that answers for images: runs, Keras models, exported files, functions."""

from typing import TYPE_CHECKING

from kattn.lazy import face

if TYPE_CHECKING:
    from kattn.evaluation.evaluation import evaluate as evaluate
    from kattn.evaluation.metrics import AttributeEvaluation as AttributeEvaluation
    from kattn.evaluation.metrics import Evaluation as Evaluation
    from kattn.evaluation.metrics import calibration_error as calibration_error
    from kattn.evaluation.metrics import measure as measure
    from kattn.evaluation.metrics import measure_attributes as measure_attributes

__getattr__, __dir__ = face(
    __name__,
    {
        "AttributeEvaluation": "metrics",
        "Evaluation": "metrics",
        "calibration_error": "metrics",
        "evaluate": "evaluation",
        "measure": "metrics",
        "measure_attributes": "metrics",
    },
)
