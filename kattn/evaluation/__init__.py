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
    from kattn.evaluation.pixels import MapEvaluation as MapEvaluation
    from kattn.evaluation.pixels import measure_map as measure_map
    from kattn.evaluation.values import ValueEvaluation as ValueEvaluation
    from kattn.evaluation.values import measure_values as measure_values
    from kattn.evaluation.yes_or_no import BinaryEvaluation as BinaryEvaluation
    from kattn.evaluation.yes_or_no import measure_binary as measure_binary

__getattr__, __dir__ = face(
    __name__,
    {
        "AttributeEvaluation": "metrics",
        "BinaryEvaluation": "yes_or_no",
        "Evaluation": "metrics",
        "MapEvaluation": "pixels",
        "ValueEvaluation": "values",
        "calibration_error": "metrics",
        "evaluate": "evaluation",
        "measure": "metrics",
        "measure_attributes": "metrics",
        "measure_binary": "yes_or_no",
        "measure_map": "pixels",
        "measure_values": "values",
    },
)
