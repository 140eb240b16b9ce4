"""The network of a run and the data that fit it: checked before anything is loaded, built when the data are known."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import keras

from kattn.data.dataset import Dataset
from kattn.data.errors import DataError
from kattn.data.loading import load
from kattn.evaluation.kinds import kind_of, labels_for, targets_by_labels
from kattn.facts.description import Input
from kattn.training.kinds import trained_outputs

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


def check_network(model: Any, options: Mapping[str, Any] | None, precision: str) -> str:
    """Check what can be checked without data.

    Args:
        model: A name of the zoo or a functional Keras model, which takes neither options nor a precision.
        options, precision: As in kattn.train.

    Returns: The model's name.
    Raises: ValueError that says what cannot be trained.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}. Received: precision={precision!r}")
    if isinstance(model, str):
        from kattn.zoo.options import check_classifier
        from kattn.zoo.tables import builder

        builder(model)  # an unknown name is an error here, with the closest ones
        given = dict(options or {})
        check_classifier(given.get("classes"), given.get("classifier_activation", "softmax"))
        return model
    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None):
        raise ValueError(f"model is a name of the zoo or a functional Keras model. Received: {type(model).__name__}")
    if precision != "float32":
        raise ValueError(f"precision goes with a name of the zoo; {model.name} has {model.dtype_policy.name}.")
    if options:
        raise ValueError(
            f"options go with a name of the zoo, not with a model that is already built. Received: {dict(options)}"
        )
    shape = model.input_shape
    if isinstance(shape, (list, dict)) or len(shape) != 4:
        raise ValueError(f"{model.name} does not take one batch of images. Its input shape: {shape}")
    (output, *_) = trained_outputs(model).values()
    if output.shape and output.shape[-1] is None:
        raise ValueError(f"{model.name} has no fixed number of classes. Its output shape: {model.output_shape}")
    return model.name


def load_data(
    model: Any,
    data: Any,
    options: Mapping[str, Any],
    settings: dict[str, Any],
    limit: int | None,
    cache: bool | None,
    given: Input,
) -> Dataset:
    """The data, brought to the size that the model takes; for a name of the zoo that is the size of the data.

    Args:
        model, data, options, limit, cache: As in kattn.train.
        settings: Other arguments of kattn.data.load. An "image_size" of None is replaced by the model's.
        given: What is known of the model's input: how pictures are resized. Arrays of other values than bytes are for
            Keras models, whose range they may be.

    Raises: DataError for data that do not fit.
    """
    if isinstance(model, str):
        height, width, channels = options.get("input_shape") or (None, None, None)
        targets, classes = _labels_of_named(options)
    else:
        _, height, width, channels = model.input_shape
        (output, *_) = trained_outputs(model).values()
        targets, classes = labels_for(kind_of(output), output.shape, output.name)
    if settings["image_size"] is None and height and width:
        settings["image_size"] = (height, width)
    dataset = load(
        data,
        channels=channels,
        classes=classes,
        targets=targets,
        limit=limit,
        cache=cache,
        resize=given.resize.value,
        interpolation=given.interpolation.value,
        any_values=not isinstance(model, str),
        **settings,
    )
    if len(dataset.class_names) < 2 and dataset.targets in ("classes", "map"):
        raise DataError(f"{dataset.name} has one class only: there is nothing to tell apart.")
    return dataset


def _labels_of_named(options: Mapping[str, Any]) -> tuple[Any, int | None]:
    """The labels that a network of the zoo with these options is trained on."""
    classes, activation = options.get("classes"), options.get("classifier_activation", "softmax")
    if classes == 1 and activation == "sigmoid":
        return "classes", 2
    if activation in (None, "linear"):
        return targets_by_labels(classes == 1), classes
    return None, classes


def build_network(
    model: Any, options: Mapping[str, Any], dataset: Dataset, precision: str, zero_init_residual: bool = False
) -> Any:
    """The Keras model: what was given, or the zoo's for the images and classes of the data.

    Args:
        model, options, precision: As in kattn.train.
        dataset: The data.
        zero_init_residual: Whether a network of the zoo that has this option gets it by default.
    """
    if not isinstance(model, str):
        return model
    from kattn.zoo import create
    from kattn.zoo.tables import builder

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        fitting = {"input_shape": dataset.image_shape, "classes": len(dataset.class_names)}
        if dataset.targets == "attributes":
            fitting["classifier_activation"] = "sigmoid"
        if zero_init_residual and "zero_init_residual" in inspect.signature(builder(model)).parameters:
            fitting["zero_init_residual"] = True
        return create(model, **{**fitting, **options})
    finally:
        keras.config.set_dtype_policy(before)
