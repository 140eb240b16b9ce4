"""ReZero: a learned scale, zero at the start, by which a mechanism joins a network that is already trained."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

PROBES = 4  # random maps on which a layer must change nothing to count as an identity


@keras.saving.register_keras_serializable("kattn")
class ReZero(keras.Layer):
    """What a mechanism changes, by a learned scale.

    out = x + s (y - x), where y is what the mechanism made of x

    At s = 0 the output is x to the bit; at s = 1 it is y.

    Args:
        start: The scale before training.

    Shapes: two of the same shape in, that shape out.
    Raises: ValueError for anything but two inputs of one shape.
    Paper: Bachlechner et al. ReZero is All You Need: Fast Convergence at Large Depth. UAI 2021. arXiv:2003.04887. There
        the scaled term is the residual branch itself; here it is the difference that the mechanism makes.
    """

    def __init__(self, start: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.start = start

    def build(self, input_shape: Any) -> None:
        """Create the scale."""
        if len(input_shape) != 2 or input_shape[0] is None or tuple(input_shape[0]) != tuple(input_shape[1]):
            raise ValueError(f"{self.name} takes two inputs of one shape, [x, y]. Received shapes: {input_shape}")
        self.scale = self.add_weight(
            name="scale", shape=(), initializer=keras.initializers.Constant(self.start), trainable=True
        )

    def call(self, inputs: Any) -> Any:
        """Blend x and y."""
        x, y = inputs
        return x + keras.ops.cast(self.scale, x.dtype) * (y - x)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of x."""
        return input_shape[0]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "start": self.start}


def is_identity(layer: keras.Layer, x: Any) -> bool:
    """Whether a layer, as it is initialised, gives what it takes: then a scale at zero would hold it there for ever.

    Args:
        layer: Built.
        x: A tensor of the shape that it takes.
    """
    shape = tuple(8 if n is None else n for n in x.shape[1:])
    maps = np.random.default_rng(0).standard_normal((PROBES, *shape)).astype("float32")
    probe = keras.ops.cast(maps, layer.compute_dtype)
    return bool(keras.ops.all(keras.ops.equal(layer(probe, training=False), probe)))
