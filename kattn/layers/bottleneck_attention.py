"""BAM: bottleneck attention module."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.norms import batch_norm
from kattn.layers.pieces.pointwise import pointwise
from kattn.layers.pieces.widths import checked_reduction, feature_map_channels, hidden_width


@keras.saving.register_keras_serializable("kattn")
class BottleneckAttention(keras.Layer):
    """A channel and a spatial description, joined to one gate of the whole map.

    channel = W2 relu(BN(W1 mean(x) + b1)) + b2, of shape (batch, 1, 1, channels)
    spatial = conv1x1(D(D(relu(BN(conv1x1(x)))))), of shape (batch, height, width, 1);
              D is a dilated 3x3 convolution, BN and ReLU on the hidden width
    y = x * (1 + sigmoid(channel * spatial))

    Args:
        reduction: Hidden width of both branches is channels // reduction, at least 1.
        dilation: Of the 3x3 convolutions.
        dilated_convs: Number of 3x3 convolutions in the spatial branch.
        hidden_layers: Number of hidden layers in the channel branch.
        combine: "mul" multiplies the two descriptions, as the authors' code and the published parameter counts do;
            "add"
            adds them, as the paper prints it.
        final_norm: Batch normalisation at the end of both branches, as in the paper. False as in the authors' code.
        return_attention: Also return the gate sigmoid(...), (batch, height, width, channels).

    The gate 1 + sigmoid lies between 1 and 2: no second residual belongs around the layer.

    Shapes: (batch, height, width, channels) in and out. The mean is global, so maps need not be square (in the authors'
        code they must be).
    Raises: ValueError for an unknown `combine`, a reduction below 1, or an input that is no feature map.
    Paper: Park, Woo, Lee, Kweon. BAM: Bottleneck Attention Module. BMVC 2018. arXiv:1807.06514
    Code: Jongchan/attention-module
    """

    def __init__(
        self,
        reduction: int = 16,
        dilation: int = 4,
        dilated_convs: int = 2,
        hidden_layers: int = 1,
        combine: str = "mul",
        final_norm: bool = False,
        return_attention: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if combine not in ("mul", "add"):
            raise ValueError(f'combine must be "mul" or "add". Received: combine={combine!r}')
        if dilated_convs < 0 or hidden_layers < 0:
            raise ValueError(
                "dilated_convs and hidden_layers must not be negative. "
                f"Received: dilated_convs={dilated_convs}, hidden_layers={hidden_layers}"
            )
        self.reduction = checked_reduction(reduction)
        self.dilation = dilation
        self.dilated_convs = dilated_convs
        self.hidden_layers = hidden_layers
        self.combine = combine
        self.final_norm = final_norm
        self.return_attention = return_attention

    def build(self, input_shape: Any) -> None:
        """Create both branches."""
        channels = feature_map_channels(self, input_shape)
        hidden = hidden_width(channels, self.reduction)
        common: dict[str, Any] = {"dtype": self.dtype_policy}

        def chain(layers: list[Any], shape: Any) -> list[Any]:
            for layer in layers:
                layer.build(shape)
                shape = layer.compute_output_shape(shape)
            return layers

        def normalised(conv: keras.layers.Conv2D, name: str) -> list[Any]:
            return [conv, batch_norm(name=f"{name}_bn", **common), keras.layers.Activation("relu", **common)]

        channel: list[Any] = []
        for i in range(self.hidden_layers):
            channel += normalised(pointwise(hidden, name=f"channel_hidden{i}", **common), f"channel_hidden{i}")
        channel.append(pointwise(channels, name="channel_out", **common))
        spatial = normalised(pointwise(hidden, name="spatial_reduce", **common), "spatial_reduce")
        for i in range(self.dilated_convs):
            name = f"spatial_dilated{i}"
            conv = keras.layers.Conv2D(
                hidden, 3, padding="same", dilation_rate=self.dilation, data_format="channels_last", name=name, **common
            )
            spatial += normalised(conv, name)
        spatial.append(pointwise(1, name="spatial_out", **common))
        if self.final_norm:
            channel.append(batch_norm(name="channel_out_bn", **common))
            spatial.append(batch_norm(name="spatial_out_bn", **common))
        self.channel = chain(channel, (None, 1, 1, channels))
        self.spatial = chain(spatial, tuple(input_shape))

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Gate x by both descriptions."""
        channel, spatial = ops.mean(x, axis=(1, 2), keepdims=True), x
        for layer in self.channel:
            channel = _apply(layer, channel, training)
        for layer in self.spatial:
            spatial = _apply(layer, spatial, training)
        gate = ops.sigmoid(channel * spatial if self.combine == "mul" else channel + spatial)
        y = x * (1.0 + gate)
        return (y, gate) if self.return_attention else y

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape, twice where the gate is returned."""
        return (input_shape, input_shape) if self.return_attention else input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "reduction": self.reduction,
            "dilation": self.dilation,
            "dilated_convs": self.dilated_convs,
            "hidden_layers": self.hidden_layers,
            "combine": self.combine,
            "final_norm": self.final_norm,
            "return_attention": self.return_attention,
        }


def _apply(layer: Any, x: Any, training: bool | None) -> Any:
    is_norm = isinstance(layer, keras.layers.BatchNormalization)
    return layer(x, training=training) if is_norm else layer(x)
