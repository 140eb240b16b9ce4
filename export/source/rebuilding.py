"""A model's twin that converters understand: float32 throughout, grouped convolutions as one operation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from kattn.export.errors import ExportInputError
from kattn.graph.calls import Call
from kattn.graph.copies import copy_model
from kattn.graph.inside import all_layers
from kattn.layers.pieces.grouped import GroupedConv2D

HALF = ("float16", "bfloat16")


def reasons_to_rebuild(model: keras.Model) -> list[str]:
    """Why the model cannot be converted as it is; empty where it can.

    Raises: ExportInputError for layers quantised by Keras, whose integer weights have no float32 twin.
    """
    reasons: dict[str, None] = {}
    for layer in all_layers(model):
        if getattr(layer, "quantization_mode", None):
            raise ExportInputError(
                f"Layer {layer.name!r} was quantised by Keras ({layer.quantization_mode}). Export the model as it was "
                'before model.quantize, with precision="int8".'
            )
        for policy in sorted(_policies(layer) - {"float32"}):
            reasons[f"policy {policy}"] = None
        if is_foreign_grouped(layer):
            reasons["grouped convolutions that Keras compiles by XLA"] = None
    if any(_half_cast(operation) for operation in getattr(model, "operations", ())):
        reasons["casts to half precision"] = None
    return list(reasons)


def rebuild(model: keras.Model, floats: bool = False) -> keras.Model:
    """A functional model with the same weights in float32 and with `GroupedConv2D` for Keras's grouped Conv2D.

    Args:
        model: Of one input, or a list of them.
        floats: Maps of integers come in as float32 too.

    Raises: ExportInputError for a layer whose configuration does not make it anew.
    """

    def same(tensor: Any) -> Any:
        dtype = "float32" if tensor.dtype in HALF or (floats and is_integer_map(tensor)) else tensor.dtype
        return keras.Input(batch_shape=tensor.shape, dtype=dtype, name=tensor.name)

    inputs = keras.tree.map_structure(same, model.input)
    try:
        return copy_model(model, recipe=_recipe, make=_call_in_float32, inputs=inputs)[0]
    except ValueError as error:
        raise ExportInputError(f"The model could not be rebuilt in float32: {error}") from error


def is_integer_map(tensor: Any) -> bool:
    """Whether an input holds images of integers; rows of integers are numbers of classes or words."""
    return len(tensor.shape) > 3 and "int" in tensor.dtype


def is_foreign_grouped(layer: keras.Layer) -> bool:
    """Whether Keras's TensorFlow backend compiles this layer by XLA, which no converter reads."""
    return type(layer) is keras.layers.Conv2D and layer.groups > 1 and layer.data_format == "channels_last"


def _recipe(call: Call, config: dict[str, Any]) -> tuple[type[keras.Layer], dict[str, Any]]:
    return GroupedConv2D if is_foreign_grouped(call.layer) else type(call.layer), _in_float32(config)


def _call_in_float32(call: Call) -> Any:
    return keras.ops.cast(call.args[0], "float32") if _half_cast(call.layer) else call.run()


def _half_cast(operation: Any) -> bool:
    return type(operation).__name__ == "Cast" and getattr(operation, "dtype", None) in HALF


def _in_float32(config: Any) -> Any:
    """A layer's configuration with every dtype policy in it, also those of wrapped layers, set to float32."""
    if isinstance(config, Mapping):
        if _is_policy(config):
            return {**config, "class_name": "DTypePolicy", "config": {"name": "float32"}}
        return {
            key: "float32" if key == "dtype" and isinstance(value, str) and value in HALF else _in_float32(value)
            for key, value in config.items()
        }
    if isinstance(config, (list, tuple)):
        return type(config)(_in_float32(value) for value in config)
    return config


def _policies(layer: keras.Layer) -> set[str]:
    """Dtype policies of a layer and of the layers in its configuration."""
    try:
        return _dtype_names(layer.get_config())
    except Exception:  # a layer of somebody's that has no configuration: all there is to know is its own policy
        return {layer.dtype_policy.name}


def _dtype_names(config: Any) -> set[str]:
    if isinstance(config, Mapping):
        if _is_policy(config):
            return {config["config"]["name"]} if "name" in config["config"] else {"map"}
        return set().union(*(_dtype_names(value) for value in config.values()))
    if isinstance(config, (list, tuple)):
        return set().union(*(_dtype_names(value) for value in config))
    return set()


def _is_policy(config: Mapping[str, Any]) -> bool:
    return config.get("class_name") in ("DTypePolicy", "DTypePolicyMap") and isinstance(config.get("config"), Mapping)
