"""The convention that a backbone's weights start by. Its row states it; the convolutions of its blocks follow."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator
from dataclasses import dataclass

from kattn.layers.pieces.initial_weights import Rule, kaiming_normal_fan_out, torch_default, zeros


@dataclass(frozen=True)
class InitialWeights:
    """How the weights of a network start: a rule of `kattn.layers.pieces.initial_weights` each.

    The defaults are torchvision's ResNet: convolutions by fan-out, the classifier as torch leaves it.

    Attributes:
        conv: Kernels of the convolutions, grouped and depthwise ones included.
        conv_bias: Their biases.
        dense: Kernels of the dense layers.
        dense_bias: Their biases.
    """

    conv: Rule = kaiming_normal_fan_out
    conv_bias: Rule = zeros
    dense: Rule = torch_default
    dense_bias: Rule = torch_default


RESNET = InitialWeights()
_current = contextvars.ContextVar("initial_weights", default=RESNET)


@contextlib.contextmanager
def started_by(convention: InitialWeights) -> Iterator[None]:
    """Within this context the layers of the grammar start by the convention."""
    token = _current.set(convention)
    try:
        yield
    finally:
        _current.reset(token)


def initial_weights() -> InitialWeights:
    """The convention of the network that is being built."""
    return _current.get()
