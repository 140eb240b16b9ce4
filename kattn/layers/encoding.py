"""Encoding layer: a map described by its residuals to learned codewords."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kattn.layers.pieces.attend import positions, softmax, wide_dtype
from kattn.layers.pieces.widths import feature_map_channels


@keras.saving.register_keras_serializable("kattn")
class Encoding(keras.Layer):
    """Residuals of all positions to K codewords, softly assigned and summed (Deep TEN, EncNet).

    r_ik = X_i - D_k;   a_ik = softmax over k of c_k |r_ik|^2;   E_k = sum over i of a_ik r_ik

    The residuals are never formed: |X|^2 - 2 X D^T + |D|^2 and A^T X - (sum of A) D give the same in two products.
    They are computed in float32 under mixed precision.

    Args:
        codes: Number of codewords K. D starts uniform in +-1 / sqrt(K C), c uniform in (-1, 0). The sign is c's and
            is free: a codeword whose c turns positive prefers far positions, as in the authors' code.
        return_attention: Also return a, (batch, height, width, K).

    Shapes: (batch, height, width, C) to (batch, K, C). The order of the positions does not matter.
    Memory: N K values a sample (N = H W), where the residuals would be N K C; 2 N K C multiply-adds.
    Raises: ValueError for fewer than one codeword, or an input that is no feature map.
    Paper: Zhang, Xue, Dana. Deep TEN: Texture Encoding Network. CVPR 2017. arXiv:1612.02844
    Code: zhanghang1989/PyTorch-Encoding
    """

    def __init__(self, codes: int = 32, return_attention: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if codes < 1:
            raise ValueError(f"codes must be at least 1. Received: codes={codes}")
        self.codes = codes
        self.return_attention = return_attention

    def build(self, input_shape: Any) -> None:
        """Create codewords and scales."""
        channels = feature_map_channels(self, input_shape)
        limit = (self.codes * channels) ** -0.5
        self.codewords = self.add_weight(
            shape=(self.codes, channels),
            initializer=keras.initializers.RandomUniform(-limit, limit),
            autocast=False,
            name="codewords",
        )
        self.scale = self.add_weight(
            shape=(self.codes,),
            initializer=keras.initializers.RandomUniform(-1.0, 0.0),
            autocast=False,
            name="scale",
        )

    def call(self, x: Any) -> Any:
        """Assign every position to the codewords and sum the residuals."""
        flat = ops.cast(positions(x), wide_dtype(self.compute_dtype))
        codewords, scale = ops.cast(self.codewords, flat.dtype), ops.cast(self.scale, flat.dtype)
        product = ops.matmul(flat, ops.transpose(-2.0 * codewords))
        squares = ops.sum(ops.square(flat), axis=-1, keepdims=True)
        distance = squares + product + ops.sum(ops.square(codewords), axis=-1)
        assigned = softmax(scale * distance)
        total = ops.expand_dims(ops.sum(assigned, axis=1), -1)
        encoded = ops.matmul(ops.transpose(assigned, (0, 2, 1)), flat) - total * codewords
        encoded = ops.cast(encoded, self.compute_dtype)
        if not self.return_attention:
            return encoded
        _, height, width, _ = ops.shape(x)
        return encoded, ops.cast(ops.reshape(assigned, (-1, height, width, self.codes)), self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(batch, K, C), and the assignment's shape where it is returned."""
        encoded = (input_shape[0], self.codes, input_shape[-1])
        return (encoded, (*input_shape[:-1], self.codes)) if self.return_attention else encoded

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "codes": self.codes, "return_attention": self.return_attention}
