"""EncNet: a channel gate from an encoding of the whole map, with a head that says which classes occur."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kattn.layers.encoding import Encoding
from kattn.layers.pieces.attend import wide_dtype
from kattn.layers.pieces.conv_norm import ConvNormActivation
from kattn.layers.pieces.norms import batch_norm
from kattn.layers.pieces.pointwise import pointwise
from kattn.layers.pieces.widths import feature_map_channels

AGGREGATES = {"mean": ops.mean, "sum": ops.sum}


@keras.saving.register_keras_serializable("kattn")
class ContextEncoding(keras.Layer):
    """Channel gate from the K encoded residuals of the map (EncNet's context encoding module).

    E = Encoding(relu(BN(W x)));   e = mean over k of relu(BN_k(E_k))      (BN over the codewords' axis)
    y = relu(x + x * sigmoid(F e + b));   logits = S e + d, one a class    (no activation: SemanticEncodingLoss has it)

    Args:
        codes: Number of codewords K.
        classes: Of the logits, the second output; None leaves them out, as for inference.
        aggregate: "mean" as in the authors' code; "sum" as in the paper.
        residual: True for relu(x + x * gate), the code's; False for x * gate, the paper's.
        return_attention: Also return the assignment to the codewords, (batch, height, width, K), as the last output.

    Shapes: (batch, height, width, C) to the same, then (batch, classes).
    Memory: N K values of assignment a sample, N = H W.
    Raises: ValueError for an unknown aggregate, fewer than one codeword, or an input that is no feature map.
    Paper: Zhang, Dana, Shi, Zhang, Wang, Tyagi, Agrawal. Context Encoding for Semantic Segmentation. CVPR 2018.
        arXiv:1803.08904. The paper has a second such loss on the stage before.
    Code: zhanghang1989/PyTorch-Encoding
    """

    def __init__(
        self,
        codes: int = 32,
        classes: int | None = None,
        aggregate: str = "mean",
        residual: bool = True,
        return_attention: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if aggregate not in AGGREGATES:
            raise ValueError(f"aggregate must be one of {sorted(AGGREGATES)}. Received: aggregate={aggregate!r}")
        self.codes = codes
        self.classes = classes
        self.aggregate = aggregate
        self.residual = residual
        self.return_attention = return_attention

    def build(self, input_shape: Any) -> None:
        """Create the projection, the encoding, the gate and the class head."""
        channels = feature_map_channels(self, input_shape)
        self.project = ConvNormActivation(channels, name="project", dtype=self.dtype_policy)
        self.project.build(input_shape)
        # Sums over all positions leave float16's range, so what follows them is float32 up to the mean over codewords.
        wide = wide_dtype(self.compute_dtype)
        self.encoding = Encoding(self.codes, return_attention=self.return_attention, name="encoding", dtype=wide)
        self.encoding.build(input_shape)
        self.norm = batch_norm(axis=1, name="norm", dtype=wide)
        self.norm.build((None, self.codes, channels))
        self.gate = pointwise(channels, activation="sigmoid", name="gate", dtype=self.dtype_policy)
        self.gate.build((None, 1, 1, channels))
        if self.classes is not None:
            self.presence = pointwise(self.classes, name="presence", dtype=self.dtype_policy)
            self.presence.build((None, 1, 1, channels))

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Gate the channels; tell which classes occur."""
        encoded = self.encoding(self.project(x, training=training))
        encoded, *attention = encoded if self.return_attention else (encoded,)
        e = AGGREGATES[self.aggregate](ops.relu(self.norm(encoded, training=training)), axis=1)
        e = ops.cast(ops.reshape(e, (-1, 1, 1, ops.shape(x)[-1])), x.dtype)
        gated = x * self.gate(e)
        outputs = [ops.relu(x + gated) if self.residual else gated]
        if self.classes is not None:
            outputs.append(ops.reshape(self.presence(e), (-1, self.classes)))
        outputs += [ops.cast(a, x.dtype) for a in attention]
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape, then those of the logits and of the assignment where there are such."""
        shapes = [tuple(input_shape)]
        if self.classes is not None:
            shapes.append((input_shape[0], self.classes))
        if self.return_attention:
            shapes.append((*input_shape[:-1], self.codes))
        return shapes[0] if len(shapes) == 1 else tuple(shapes)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "codes": self.codes,
            "classes": self.classes,
            "aggregate": self.aggregate,
            "residual": self.residual,
            "return_attention": self.return_attention,
        }
