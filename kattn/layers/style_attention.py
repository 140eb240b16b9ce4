"""SANet: style features rearranged to fit the content."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.attend_maps import attend_maps, map_size
from kattn.layers.pieces.pointwise import pointwise
from kattn.layers.pieces.widths import feature_map_channels


@keras.saving.register_keras_serializable("kattn")
class StyleAttention(keras.Layer):
    """Each content position gathers the style features that resemble it (SANet, one level).

    n(t) = (t - mean) / sqrt(variance + epsilon)         a sample and channel, over the positions
    y = W_o softmax(f(n(content)) g(n(style))^T) h(style) + content

    f, g, h and W_o are 1x1 convolutions that keep the content's channels; the value path h is not normalised.
    There is no official code: the equation is the paper's, the divisor of the variance the PyTorch port's.

    Args:
        epsilon: Added to the variance; a channel that is constant becomes zero.
        unbiased: Divide the variance by N - 1 (the port, default; the variance of a single position is 0) or by N.
        use_bias: Biases of the convolutions.
        return_attention: Also return the softmax.

    Inputs: [content, style], (batch, height, width, channels) each; height, width and channels may differ.
    Shapes: the content's out; attention (batch, Nc, Ns), the numbers of positions.
    Memory: 4 Nc Ns bytes a sample for the matrix; on maps of known size at most 64 MiB of it at a time (in training
        512), unless it is returned.
    Raises: ValueError for anything but two feature maps.
    Paper: Park, Lee. Arbitrary Style Transfer With Style-Attentional Networks. CVPR 2019. arXiv:1812.02342
    """

    def __init__(
        self,
        epsilon: float = 1e-5,
        unbiased: bool = True,
        use_bias: bool = True,
        return_attention: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.epsilon = epsilon
        self.unbiased = unbiased
        self.use_bias = use_bias
        self.return_attention = return_attention

    def build(self, input_shape: Any) -> None:
        """Create the four convolutions."""
        content, style = channels_of(self, input_shape, 2)
        common: dict[str, Any] = {"use_bias": self.use_bias, "dtype": self.dtype_policy}
        self.query = pointwise(content, name="query", **common)
        self.key = pointwise(content, name="key", **common)
        self.value = pointwise(content, name="value", **common)
        self.output_projection = pointwise(content, name="output_projection", **common)
        self.query.build((None, None, None, content))
        self.key.build((None, None, None, style))
        self.value.build((None, None, None, style))
        self.output_projection.build((None, None, None, content))

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Dress the content in the style."""
        content, style = inputs
        query, key = self.query(self._normalise(content)), self.key(self._normalise(style))
        gathered, attention = attend_maps(
            query, key, self.value(style), return_attention=self.return_attention, training=training
        )
        y = self.output_projection(gathered) + content
        return (y, attention) if self.return_attention else y

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The content's shape, and the attention's where it is returned."""
        content, style = input_shape
        if not self.return_attention:
            return content
        return content, (content[0], map_size(content), map_size(style))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "epsilon": self.epsilon,
            "unbiased": self.unbiased,
            "use_bias": self.use_bias,
            "return_attention": self.return_attention,
        }

    def _normalise(self, x: Any) -> Any:
        wide = ops.cast(x, "float32")  # squares leave float16's range early
        centred = wide - ops.mean(wide, axis=(1, 2), keepdims=True)
        variance = ops.mean(ops.square(centred), axis=(1, 2), keepdims=True)
        if self.unbiased:
            count = ops.cast(ops.shape(x)[1] * ops.shape(x)[2], "float32")
            variance = variance * (count / ops.maximum(count - 1.0, 1.0))
        return ops.cast(centred * ops.rsqrt(variance + self.epsilon), x.dtype)


def channels_of(layer: keras.Layer, shapes: Any, count: int) -> list[int]:
    """Channels of each input, or an error that says what came."""
    if not isinstance(shapes, (list, tuple)) or len(shapes) != count or not isinstance(shapes[0], (list, tuple)):
        raise ValueError(f"{type(layer).__name__} takes a list of {count} feature maps. Received: shapes {shapes}")
    return [feature_map_channels(layer, shape) for shape in shapes]
