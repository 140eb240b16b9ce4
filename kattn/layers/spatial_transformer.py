"""STN: the spatial transformer, and its sampler alone."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from kattn.layers.pieces.widths import feature_map_channels

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def output_size(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    """A size given as one number, two, or none, as two or none."""
    if size is None:
        return None
    pair = (size, size) if isinstance(size, int) else tuple(size)
    if len(pair) != 2 or min(pair) < 1:
        raise ValueError(f"size must be one or two positive numbers, or None. Received: size={size}")
    return pair[0], pair[1]


def target_coordinates(length: Any, align_corners: bool) -> Any:
    """Where the pixels of an axis lie in [-1, 1]: the outer ones' centres at its ends, or their outer edges."""
    if isinstance(length, int):
        steps = np.arange(length, dtype="float32")
        if align_corners:
            return steps * np.float32(2 / max(length - 1, 1)) - np.float32(length > 1)
        return (2 * steps + 1) / np.float32(length) - 1
    steps, count = ops.cast(ops.arange(length), "float32"), ops.cast(length, "float32")
    if align_corners:
        return steps * 2 / ops.maximum(count - 1, 1.0) - ops.cast(length > 1, "float32")
    return (2 * steps + 1) / count - 1


@keras.saving.register_keras_serializable("kattn")
class SpatialTransformerSampler(keras.Layer):
    """Sample a map where an affine transform of the output's pixels points to.

    (u, v) = theta (x, y, 1) for every output pixel, all in [-1, 1], x along the width, and y the height
    output = bilinear interpolation of the map at (u, v); each neighbour outside the map counts as zero

    Args:
        size: Height and width of the output, one number for both; None for the input's.
        align_corners: What -1 and 1 mean. False: the outer edges of the border pixels, u is pixel ((u + 1) W - 1) / 2
            (PyTorch's default since 1.3); True: their centres, pixel (u + 1) / 2 (W - 1). The paper does not say.

    theta maps the output to the input: a scale of 2 shows the map at half size, amid zeros.

    Shapes: [(batch, height, width, channels), theta (batch, 6), the rows of the 2x3 matrix one behind the other, or
        (batch, 2, 3)] to (batch, new height, new width, channels). No parameters. The coordinates are float32 under
        any policy: float16 is off by half a pixel at 1024.
    Raises: ValueError for a size below 1, or inputs of other shapes.
    Paper: Jaderberg, Simonyan, Zisserman, Kavukcuoglu. Spatial Transformer Networks. NIPS 2015. arXiv:1506.02025
    Code: none by the authors; the numbers are those of PyTorch's affine_grid and grid_sample.
    """

    def __init__(self, size: int | tuple[int, int] | None = None, align_corners: bool = False, **kwargs: Any) -> None:
        super().__init__(**{"autocast": False} | kwargs)  # theta keeps its precision; the map is cast in call
        output_size(size)
        self.size = size if size is None or isinstance(size, int) else (size[0], size[1])
        self.align_corners = align_corners

    def build(self, input_shape: Any) -> None:
        """Check the shapes."""
        shapes = [tuple(shape) for shape in input_shape] if isinstance(input_shape[0], list | tuple) else []
        if len(shapes) != 2 or shapes[1][1:] not in ((6,), (2, 3)):
            raise ValueError(
                "SpatialTransformerSampler takes a list of a (batch, height, width, channels) map and theta of shape "
                f"(batch, 6) or (batch, 2, 3). Received: {shapes or tuple(input_shape)}"
            )
        feature_map_channels(self, shapes[0])

    def call(self, inputs: Any) -> Any:
        """Sample inputs[0] where inputs[1] points."""
        x, theta = inputs
        x = ops.cast(x, self.compute_dtype)
        batch, height, width, channels = ops.shape(x)
        new_height, new_width = output_size(self.size) or (height, width)
        u, v = self._source(ops.reshape(ops.cast(theta, "float32"), (-1, 6)), new_height, new_width)
        left, right = self._neighbours(u, width)
        above, below = self._neighbours(v, height)
        rows = ops.reshape(x, (-1, channels))  # of all samples: one plain gather instead of a batched one
        first = ops.reshape(ops.arange(batch, dtype="int32") * (height * width), (-1, 1))
        y = 0.0
        for row, row_weight in (above, below):
            for column, column_weight in (left, right):
                weight = ops.expand_dims(ops.cast(row_weight * column_weight, x.dtype), -1)
                y = y + ops.take(rows, first + row * width + column, axis=0) * weight
        return ops.reshape(y, (-1, new_height, new_width, channels))

    def _source(self, theta: Any, height: Any, width: Any) -> tuple[Any, Any]:
        """u and v of all output pixels, each (batch, height * width)."""
        x = ops.reshape(target_coordinates(width, self.align_corners), (1, 1, -1))
        y = ops.reshape(target_coordinates(height, self.align_corners), (1, -1, 1))
        entries = [ops.reshape(theta[:, i : i + 1], (-1, 1, 1)) for i in range(6)]
        u, v = (a * x + b * y + c for a, b, c in (entries[:3], entries[3:]))
        return ops.reshape(u, (-1, height * width)), ops.reshape(v, (-1, height * width))

    def _neighbours(self, at: Any, length: Any) -> list[tuple[Any, Any]]:
        """The two pixels around each coordinate: index, and weight, which is zero outside the map."""
        count = ops.cast(length, "float32")
        pixel = (at + 1) * 0.5 * (count - 1) if self.align_corners else ((at + 1) * count - 1) * 0.5
        pixel = ops.clip(pixel, -1.0, count)  # all beyond weighs nothing; a number that int32 can hold
        low = ops.floor(pixel)
        result = []
        for place, weight in ((low, low + 1 - pixel), (low + 1, pixel - low)):
            inside = ops.cast(ops.logical_and(place >= 0, place < count), "float32")
            result.append((ops.cast(ops.clip(place, 0.0, count - 1), "int32"), weight * inside))
        return result

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The output's height and width, the map's channels."""
        batch, height, width, channels = input_shape[0]
        return batch, *(output_size(self.size) or (height, width)), channels

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "size": self.size, "align_corners": self.align_corners}


@keras.saving.register_keras_serializable("kattn")
class SpatialTransformer(keras.Layer):
    """Turns, scales and shifts its input as a small network of its own says.

    theta = W2 relu(W1 flatten(x) + b1) + b2;   y = SpatialTransformerSampler()([x, theta])

    Args:
        hidden: Width of the localisation network.
        size: Height and width of the output, one number for both; None for the input's.
        align_corners: See SpatialTransformerSampler. Default False.
        return_attention: Also return theta, (batch, 6).

    The last localisation layer starts with weight 0 and bias (1, 0, 0, 0, 1, 0): the block starts as the identity
    (or, with another size, as a plain resize). For a localisation network of another make, give its theta to
    SpatialTransformerSampler.

    Shapes: (batch, height, width, channels) to (batch, new height, new width, channels). The parameters depend on the
        D = height * width * channels inputs, known at build time: D n + n + 6 n + 6, n = hidden.
    Raises: ValueError for sizes out of range, unknown height or width, or an input that is no feature map.
    Paper: Jaderberg, Simonyan, Zisserman, Kavukcuoglu. Spatial Transformer Networks. NIPS 2015. arXiv:1506.02025
    Code: none by the authors.
    """

    def __init__(
        self,
        hidden: int = 32,
        size: int | tuple[int, int] | None = None,
        align_corners: bool = False,
        return_attention: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if hidden < 1:
            raise ValueError(f"hidden must be at least 1. Received: hidden={hidden}")
        output_size(size)
        self.hidden = hidden
        self.size = size if size is None or isinstance(size, int) else (size[0], size[1])
        self.align_corners = align_corners
        self.return_attention = return_attention

    def build(self, input_shape: Any) -> None:
        """Create the localisation network and the sampler."""
        feature_map_channels(self, input_shape)
        if None in input_shape[1:3]:
            raise ValueError(
                "SpatialTransformer has weights for each position: build it with a known height and width, or use "
                f"SpatialTransformerSampler with a theta of your own. Received: shape {tuple(input_shape)}"
            )
        features = int(np.prod(input_shape[1:]))
        self.localise = keras.layers.Dense(self.hidden, activation="relu", dtype=self.dtype_policy, name="localise")
        self.localise.build((None, features))
        start = keras.initializers.Constant(np.array(IDENTITY, "float32"))
        # float32 under any policy: half of float16's digits would move pixels.
        self.theta = keras.layers.Dense(
            6, kernel_initializer="zeros", bias_initializer=start, dtype="float32", name="theta"
        )
        self.theta.build((None, self.hidden))
        self.sampler = SpatialTransformerSampler(self.size, self.align_corners, dtype=self.dtype_policy, name="sampler")
        self.sampler.build([input_shape, (None, 6)])

    def call(self, x: Any) -> Any:
        """Transform x."""
        theta = self.theta(self.localise(ops.reshape(x, (-1, self.localise.kernel.shape[0]))))
        y = self.sampler([x, theta])
        return (y, theta) if self.return_attention else y

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The sampler's shape, and theta's where it is returned."""
        batch, height, width, channels = input_shape
        shape = (batch, *(output_size(self.size) or (height, width)), channels)
        return (shape, (batch, 6)) if self.return_attention else shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "hidden": self.hidden,
            "size": self.size,
            "align_corners": self.align_corners,
            "return_attention": self.return_attention,
        }
