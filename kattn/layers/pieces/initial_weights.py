"""How weights start: rules by the names of their formulas, from what torch counts as fan-in and fan-out.

A rule is a function from a kernel's sizes to an initializer of Keras with plain numbers. Keras's own fan counts are not
torch's for a depthwise kernel, so none is used here. Each call makes a new initializer: in Keras 3 one that two layers
share gives both the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import keras


class Kernel(NamedTuple):
    """Sizes of a kernel; of a dense layer's with window and groups 1.

    Attributes:
        channels: Of the input.
        filters: Of the output.
        window: Height times width.
        groups: Of the convolution; as many as channels in a depthwise one.
    """

    channels: int
    filters: int
    window: int = 1
    groups: int = 1

    @property
    def fan_in(self) -> int:
        """Inputs of one output, as torch counts them."""
        return self.channels // self.groups * self.window

    @property
    def fan_out(self) -> int:
        """Filters times window, as torch counts: the groups are not divided by."""
        return self.filters * self.window


Rule = Callable[[Kernel], keras.initializers.Initializer]


def zeros(kernel: Kernel) -> keras.initializers.Initializer:
    """All 0."""
    return keras.initializers.Zeros()


def normal(stddev: float) -> Rule:
    """The rule of a normal distribution with this standard deviation, whatever the sizes."""
    return lambda kernel: keras.initializers.RandomNormal(stddev=stddev)


def kaiming_normal_fan_out(kernel: Kernel) -> keras.initializers.Initializer:
    """Normal, not truncated, with variance 2 / fan-out: torch's `kaiming_normal_(mode="fan_out")`, MSRinit in Lua.

    Paper: He, Zhang, Ren, Sun. Delving Deep into Rectifiers. ICCV 2015. arXiv:1502.01852
    """
    return keras.initializers.RandomNormal(stddev=math.sqrt(2 / kernel.fan_out))


def kaiming_normal_fan_in(kernel: Kernel) -> keras.initializers.Initializer:
    """Normal, not truncated, with variance 2 / fan-in: torch's `kaiming_normal_`."""
    return keras.initializers.RandomNormal(stddev=math.sqrt(2 / kernel.fan_in))


def kaiming_uniform_fan_in(kernel: Kernel) -> keras.initializers.Initializer:
    """Uniform with variance 2 / fan-in: torch's `kaiming_uniform_`."""
    return _uniform(math.sqrt(6 / kernel.fan_in))


def torch_default(kernel: Kernel) -> keras.initializers.Initializer:
    """Uniform within 1 / sqrt(fan-in): what torch's convolutions and linear layers, and their biases, start with."""
    return _uniform(1 / math.sqrt(kernel.fan_in))


def tensorflow_fan_out(kernel: Kernel) -> keras.initializers.Initializer:
    """Normal with variance 2 / fan-out of one group: the convolutions of TensorFlow's MnasNet code, and timm's."""
    return keras.initializers.RandomNormal(stddev=math.sqrt(2 * kernel.groups / kernel.fan_out))


def uniform_fan_out(kernel: Kernel) -> keras.initializers.Initializer:
    """Uniform within 1 / sqrt(filters): the dense layer of TensorFlow's MnasNet code, and timm's."""
    return _uniform(1 / math.sqrt(kernel.fan_out))


def normal_by_channels(kernel: Kernel) -> keras.initializers.Initializer:
    """Normal with standard deviation groups / channels: the ShuffleNet authors' code."""
    return keras.initializers.RandomNormal(stddev=kernel.groups / kernel.channels)


def _uniform(limit: float) -> keras.initializers.Initializer:
    return keras.initializers.RandomUniform(-limit, limit)
