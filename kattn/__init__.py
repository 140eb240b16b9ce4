"""Attention for convolutional networks in Keras 3.

Layers (`kattn.layers`), models (`kattn.zoo`), training (`kattn.train`, `kattn.evaluate`), export (`kattn.export`),
comparisons (`kattn.compare`), search (`kattn.tune`), insertion into models that exist (`kattn.insert`) and costs
(`kattn.profile`). Importing kattn imports nothing else: each part is loaded when it is first used. The layers are
registered with Keras as soon as both are imported, in either order, so that `.keras` files load.
"""

from typing import TYPE_CHECKING

from kattn.lazy import face
from kattn.registration import register_layers
from kattn.version import __version__ as __version__

if TYPE_CHECKING:
    from kattn import comparison as comparison
    from kattn import data as data
    from kattn import evaluation as evaluation
    from kattn import explain as explain
    from kattn import export as export
    from kattn import insertion as insertion
    from kattn import layers as layers
    from kattn import training as training
    from kattn import tuning as tuning
    from kattn import zoo as zoo
    from kattn.comparison.comparing import compare as compare
    from kattn.evaluation.evaluation import evaluate as evaluate
    from kattn.evaluation.predicting import predict as predict
    from kattn.graph.outputs import targets_for as targets_for
    from kattn.insertion.inserting import insert as insert
    from kattn.profiling import profile as profile
    from kattn.runs.describing import describe as describe
    from kattn.training.compiling import compile_for as compile_for
    from kattn.training.run import train as train
    from kattn.tuning.search import tune as tune

__getattr__, __dir__ = face(
    __name__,
    {
        "compare": "comparison.comparing",
        "comparison": "",
        "compile_for": "training.compiling",
        "data": "",
        "describe": "runs.describing",
        "evaluate": "evaluation.evaluation",
        "evaluation": "",
        "explain": "",
        "export": "",
        "insert": "insertion.inserting",
        "insertion": "",
        "layers": "",
        "predict": "evaluation.predicting",
        "profile": "profiling",
        "targets_for": "graph.outputs",
        "train": "training.run",
        "training": "",
        "tune": "tuning.search",
        "tuning": "",
        "zoo": "",
    },
)
register_layers()
