"""Convolutions with their padding, normalisation and activation, dense layers: what blocks are written with.

Their weights start by the convention of the network that is being built: `initial_weights`.
"""

from __future__ import annotations

import contextlib
import contextvars
import math
from collections.abc import Callable, Iterator
from typing import Any

import keras

from kattn.layers.pieces.grouped import GroupedConv2D
from kattn.layers.pieces.initial_weights import Kernel, Rule
from kattn.layers.pieces.norms import BN_EPSILON, batch_norm
from kattn.zoo.grammar.initial_weights import initial_weights

KernelSize = int | tuple[int, int]


def unchanged(x: Any, *_: Any) -> Any:
    """The tensor itself."""
    return x


_before = contextvars.ContextVar[Callable[[Any, str], Any]]("before", default=unchanged)


@contextlib.contextmanager
def before_convolutions(step: Callable[[Any, str], Any]) -> Iterator[None]:
    """Within this context `step`, of the map and the convolution's name, stands in front of every convolution."""
    token = _before.set(step)
    try:
        yield
    finally:
        _before.reset(token)


def sides(kernel_size: KernelSize) -> tuple[int, int]:
    """Height and width of a window."""
    return (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size


def symmetric_padding(x: Any, kernel_size: KernelSize, *, name: str) -> Any:
    """Zeros on all sides, as many as an odd kernel needs."""
    height, width = sides(kernel_size)
    if height == width == 1:
        return x
    return keras.layers.ZeroPadding2D((height // 2, width // 2), data_format="channels_last", name=f"{name}_pad")(x)


def pad(x: Any, kernel_size: KernelSize, strides: int, padding: str, *, name: str) -> tuple[Any, str]:
    """The map, padded where Keras would pad it otherwise than the references, and the padding left to Keras.

    Args:
        padding: "same" pads all sides alike, as torch and Caffe do; Keras's "same" does not where a convolution
            strides. "end" is Keras's "same": it pads an even size at the bottom and the right, as TensorFlow's own
            networks do. "valid" pads nothing.
    """
    if padding == "same" and strides > 1:
        return symmetric_padding(x, kernel_size, name=name), "valid"
    return x, "same" if padding == "end" else padding


def conv(
    x: Any,
    filters: int,
    kernel_size: KernelSize,
    strides: int = 1,
    *,
    groups: int = 1,
    use_bias: bool = False,
    padding: str = "same",
    separable: bool = False,
    initial: Rule | None = None,
    name: str,
) -> Any:
    """A convolution without activation.

    Args:
        padding: See `pad`.
        separable: A depthwise convolution, then a 1x1 convolution to the filters.
        initial: How its kernel starts, where not by the network's convention.
    """
    x = _before.get()(x, name)
    start, channels, window = initial_weights(), x.shape[-1], math.prod(sides(kernel_size))
    kernel = Kernel(channels, filters, window, groups)
    x, padding = pad(x, kernel_size, strides, padding, name=name)
    options: dict[str, Any] = {
        "strides": strides,
        "padding": padding,
        "use_bias": use_bias,
        "data_format": "channels_last",
        "name": name,
    }
    if use_bias:
        options["bias_initializer"] = start.conv_bias(kernel)
    if separable:
        options["depthwise_initializer"] = start.conv(Kernel(channels, channels, window, channels))
        options["pointwise_initializer"] = start.conv(Kernel(channels, filters))
        return keras.layers.SeparableConv2D(filters, kernel_size, **options)(x)
    options["kernel_initializer"] = (initial or start.conv)(kernel)
    if groups > 1:
        return GroupedConv2D(filters, kernel_size, groups=groups, **options)(x)
    return keras.layers.Conv2D(filters, kernel_size, **options)(x)


def bn_act(
    x: Any, activation: str | None = "relu", *, epsilon: float = BN_EPSILON, gamma: str = "ones", name: str
) -> Any:
    """Batch normalisation, whose scale starts by the initializer `gamma`, then an activation or none."""
    x = batch_norm(epsilon=epsilon, gamma_initializer=gamma, name=f"{name}_bn")(x)
    return keras.layers.Activation(activation, name=f"{name}_{activation}")(x) if activation else x


def conv_bn(
    x: Any,
    filters: int,
    kernel_size: KernelSize,
    strides: int = 1,
    *,
    activation: str | None = "relu",
    norm: bool = True,
    epsilon: float = BN_EPSILON,
    gamma: str = "ones",
    before_norm: Callable[[Any], Any] = unchanged,
    name: str,
    **options: Any,
) -> Any:
    """Convolution without bias, batch normalisation, activation.

    Args:
        before_norm: Between the convolution and its normalisation.
        norm: False: only the convolution; the next block normalises and activates, as in DenseNet.
        epsilon, gamma: Of the normalisation; how its scale starts.
        options: Of `conv`: groups, padding, separable, initial.
    """
    x = before_norm(conv(x, filters, kernel_size, strides, name=name, **options))
    return bn_act(x, activation, epsilon=epsilon, gamma=gamma, name=name) if norm else x


def depthwise_bn(
    x: Any,
    kernel_size: int = 3,
    strides: int = 1,
    *,
    activation: str | None = "relu",
    padding: str = "same",
    before_norm: Callable[[Any], Any] = unchanged,
    name: str,
) -> Any:
    """Depthwise convolution without bias (`padding` as in `pad`), batch normalisation, activation."""
    x = _before.get()(x, name)
    x, padding = pad(x, kernel_size, strides, padding, name=name)
    channels = x.shape[-1]
    x = keras.layers.DepthwiseConv2D(
        kernel_size,
        strides,
        padding=padding,
        use_bias=False,
        depthwise_initializer=initial_weights().conv(Kernel(channels, channels, kernel_size**2, channels)),
        data_format="channels_last",
        name=name,
    )(x)
    return bn_act(before_norm(x), activation, name=name)


def dense(x: Any, units: int, activation: str | None = None, *, dtype: str | None = None, name: str) -> Any:
    """A dense layer."""
    start, kernel = initial_weights(), Kernel(x.shape[-1], units)
    return keras.layers.Dense(
        units,
        activation,
        kernel_initializer=start.dense(kernel),
        bias_initializer=start.dense_bias(kernel),
        dtype=dtype,
        name=name,
    )(x)
