"""Grad-CAM: where the evidence for a class lies."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops


def grad_cam(
    model: keras.Model,
    images: Any,
    *,
    classes: Sequence[int] | int | None = None,
    layer: str | None = None,
    batch_size: int = 32,
) -> np.ndarray:
    """Grad-CAM of each image, at the image's size.

    w_c = mean over positions of d score / d A_c;   map = relu(sum of w_c A_c), scaled to a maximum of 1

    The score is the class's logit: where the model ends in an activation layer, what that layer takes.

    Args:
        model: A functional model of one input. Of several outputs, "predictions" (or the first) is explained.
        images: (images, height, width, channels), as the model takes them.
        classes: The class to explain, for all images or for each. None: the predicted one.
        layer: Name of the layer whose maps A are weighted; all paths to the score must lead through it. None: the last
            one that gives a feature map.
        batch_size: Images at a time.

    Returns: float32 (images, height, width) in 0-1; all zero where nothing speaks for the class.
    Raises: ValueError for a layer that is none of the model's, or is no feature map on the way to the score; for
        classes out of range; for images that are no batch.
    Paper: Selvaraju et al. Grad-CAM. ICCV 2017. arXiv:1610.02391
    """
    images = np.asarray(images, "float32")
    if images.ndim != 4 or not len(images):
        raise ValueError(f"images must be (images, height, width, channels). Received: shape {images.shape}")
    score = _score_tensor(model)
    source = _source_layer(model, layer)
    front = keras.Model(model.inputs[0], source.output)
    try:
        back = keras.Model(source.output, score)
    except ValueError as problem:
        raise ValueError(
            f"not all paths to the score lead through layer {source.name!r}; choose a later one."
        ) from problem
    wanted = _wanted(classes, len(images), score.shape[-1])
    maps = []
    for start in range(0, len(images), batch_size):
        batch = images[start : start + batch_size]
        features = front(batch, training=False)
        chosen = ops.argmax(back(features), axis=-1) if wanted is None else wanted[start : start + batch_size]
        mask = ops.one_hot(ops.cast(chosen, "int32"), score.shape[-1])
        gradient = gradient_of(functools.partial(_masked_score, back, mask), features)
        weights = ops.mean(gradient, axis=(1, 2), keepdims=True)
        cam = ops.relu(ops.sum(weights * features, axis=-1, keepdims=True))
        cam = ops.image.resize(cam, batch.shape[1:3], interpolation="bilinear", data_format="channels_last")
        maps.append(ops.convert_to_numpy(cam)[..., 0])
    cams = np.concatenate(maps)
    top = cams.max(axis=(1, 2), keepdims=True)
    return np.where(top > 0, cams / np.where(top > 0, top, 1), 0).astype("float32")


def _masked_score(back: keras.Model, mask: Any, features: Any) -> Any:
    return ops.sum(back(features, training=False) * mask)


def gradient_of(function: Callable[[Any], Any], x: Any) -> Any:
    """Gradient of a scalar function of one tensor, on the backend that runs."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        return tape.gradient(y, x)
    if backend == "jax":
        import jax

        return jax.grad(function)(x)
    if backend == "torch":
        x = x.detach().requires_grad_(True)
        function(x).backward()
        return x.grad
    raise ValueError(f"gradients need the TensorFlow, JAX or torch backend. Received: {backend}")


def _score_tensor(model: keras.Model) -> Any:
    outputs = model.output
    tensor = outputs
    if isinstance(outputs, dict):
        tensor = outputs.get("predictions", next(iter(outputs.values())))
    elif isinstance(outputs, list | tuple):
        tensor = outputs[0]
    for layer in model.layers:
        if isinstance(layer, keras.layers.Activation | keras.layers.Softmax) and layer.output is tensor:
            return layer.input
    return tensor


def _source_layer(model: keras.Model, name: str | None) -> keras.Layer:
    maps = [layer for layer in model.layers if _is_map(layer)]
    if name is not None:
        found = next((layer for layer in model.layers if layer.name == name), None)
        if found is None:
            raise ValueError(f"model {model.name!r} has no layer {name!r}; feature maps: {_last_names(maps)}.")
        if found not in maps:
            raise ValueError(f"layer {name!r} gives no feature map; feature maps: {_last_names(maps)}.")
        return found
    if not maps:
        raise ValueError(f"model {model.name!r} has no layer that gives a feature map.")
    return maps[-1]


def _is_map(layer: keras.Layer) -> bool:
    output = getattr(layer, "output", None)
    return isinstance(output, keras.KerasTensor) and len(output.shape) == 4 and bool(layer.name)


def _last_names(layers: Sequence[keras.Layer]) -> str:
    return ", ".join(layer.name for layer in layers[-5:]) or "none"


def _wanted(classes: Sequence[int] | int | None, count: int, width: int) -> np.ndarray | None:
    if classes is None:
        return None
    wanted = np.broadcast_to(np.asarray(classes), (count,))
    if wanted.min() < 0 or wanted.max() >= width:
        raise ValueError(f"classes must be 0 to {width - 1}. Received: {classes}")
    return wanted
