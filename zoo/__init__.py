"""The model zoo: `kattn.zoo.se_resnet50(...)`, `create`, `list_models`, `info`, `features`.

A name is `<attention>_<backbone>`; the backbone's name alone is the plain network; combinations join
(`afi_se_mobilenet_v2`). `attention=` puts a layer of your own into any of them, and `register` gives it a name.
Attentions are the rows of `attentions/table.py`, backbones those of `backbones/table.py`.
`list_models` and `info` read `models.csv` and import no Keras.

Whole networks around one block have functions of their own: `rcan`, `san`, `rnan` (super-resolution); `psa`,
`encoding`, `object_context`, `dual_attention`, `criss_cross` (segmentation); `sagan_generator`, `sagan_discriminator`;
`spatial_transformer`. `dilate` gives a model a finer output stride. `weights=` takes published weights or a file.
`convert` reads weights of other collections, `to_state_dict` gives weights to them, and `save_weights` writes files
that `weights=` reads.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from kattn.lazy import face
from kattn.suggest import unknown
from kattn.zoo.catalog import info as info
from kattn.zoo.catalog import list_models as list_models

# Functions that import Keras, by the module that defines them. __init__.pyi tells type checkers of them and of all
# builders.
FUNCTIONS = {
    "Attention": "grammar.sites",
    "convert": "converting",
    "criss_cross": "networks.segmentation.heads",
    "dilate": "output_stride",
    "dual_attention": "networks.segmentation.heads",
    "encoding": "networks.segmentation.heads",
    "features": "levels",
    "object_context": "networks.segmentation.heads",
    "psa": "networks.segmentation.heads",
    "rcan": "networks.super_resolution",
    "register": "tables",
    "rnan": "networks.super_resolution",
    "sagan_discriminator": "networks.sagan",
    "sagan_generator": "networks.sagan",
    "san": "networks.super_resolution",
    "save_weights": "weights.saving",
    "segmentation_losses": "networks.segmentation.losses",
    "spatial_transformer": "networks.spatial_transformer",
    "to_state_dict": "weights.files.state_dict",
}
# What users of other collections look for here.
ELSEWHERE = {
    "preprocess_input": "Models take RGB pixels 0-255 and normalise them inside; include_preprocessing=False leaves "
    "that to you.",
    "decode_predictions": "Predictions are scores in the order of the training data's classes.",
}
_function, _ = face(__name__, FUNCTIONS)


def create(name: str, **options: Any) -> Any:
    """A model by its name: `create("afi_resnet50", classes=10)` is `afi_resnet50(classes=10)`.

    Returns: A functional Keras model.
    Raises: ValueError for an unknown name, with the closest ones, or for a mechanism that the backbone has no place
        for; TypeError for an option that the model does not have, with those it has.
    """
    from kattn.zoo.tables import builder

    return builder(name)(**options)


def __getattr__(name: str) -> Any:
    if name in FUNCTIONS:
        return _function(name)
    absent = f"module {__name__!r} has no attribute {name!r}"
    if name.startswith("_"):
        raise AttributeError(absent)
    if name in ELSEWHERE:
        raise AttributeError(f"{absent}. {ELSEWHERE[name]}")
    if importlib.util.find_spec(f"{__name__}.{name}"):
        return importlib.import_module(f"{__name__}.{name}")
    from kattn.zoo.grammar.combining import NoPlace
    from kattn.zoo.tables import builder

    try:
        return builder(name)
    except NoPlace as reason:
        raise AttributeError(f"{absent}: {reason}") from None
    except ValueError:
        problem = unknown("model or function", name, __dir__(), "All names: dir(kattn.zoo)")
        raise AttributeError(f"{absent}: {problem}") from None


def __dir__() -> list[str]:
    return sorted({"create", "info", "list_models", *FUNCTIONS, *list_models()})
