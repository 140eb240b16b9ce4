"""SAGAN's self-attention: every position looks at every other one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from kattn.layers.pieces.attend_maps import attend_maps, map_size, max_pooled
from kattn.layers.pieces.pointwise import pointwise
from kattn.layers.pieces.spectral_norm import SpectralNorm
from kattn.layers.pieces.widths import checked_reduction, feature_map_channels, hidden_width


@dataclass(frozen=True)
class Form:
    """What differs between the three blocks of this name."""

    value_reduction: int
    project: bool
    pool: int
    use_bias: bool


FORMS = {
    "pytorch": Form(value_reduction=1, project=False, pool=1, use_bias=True),
    "release": Form(value_reduction=2, project=True, pool=2, use_bias=False),
    "paper": Form(value_reduction=8, project=True, pool=1, use_bias=False),
}


@keras.saving.register_keras_serializable("kattn")
class SAGANAttention(keras.Layer):
    """Self-attention over the positions of a map, added to it with a learned weight that starts at zero.

    Q = W_q x, K = pool(W_k x), V = pool(W_v x)          1x1 convolutions, positions as rows
    y = gamma * W_o softmax(Q K^T) V + x                 no 1/sqrt(d)

    Three blocks share the name. The default is the PyTorch form, from which most copies descend; the authors' own
    TensorFlow release and the paper's final text are the two others. Each option below, left None, is the form's.

    | form      | value channels | W_o | pool | biases | parameters, C = 64        |
    |-----------|----------------|-----|------|--------|---------------------------|
    | "pytorch" | C              | no  | none | yes    | 5,201                     |
    | "release" | C/2            | yes | 2x2  | no     | 5,121 = 1.25 C^2 + 1      |
    | "paper"   | C/8            | yes | none | no     | 2,049 = C^2/2 + 1         |

    Args:
        form: "pytorch", "release" or "paper".
        qk_reduction: Channels of Q and K are C // qk_reduction, at least 1.
        value_reduction: The same for V.
        project: Whether W_o follows. Without it value_reduction must be 1.
        pool: Side and stride of the max-pool on keys and values, 1 for none; what overhangs is left out.
        use_bias: Biases of all 1x1 convolutions.
        spectral_norm: Divide all kernels by their largest singular value, as the release does. The PyTorch form leaves
            these convolutions alone.
        power_iterations: Of the spectral norm, a training call.
        return_attention: Also return softmax(Q K^T).

    Shapes: (batch, height, width, channels) in and out; attention (batch, N, N / pool^2), N = H * W.
    Memory: the matrix, 4 N^2 / pool^2 bytes a sample; on a map of known size at most 64 MiB of it at a time (in
        training 512), unless it is returned.
    Raises: ValueError for an unknown form, reduced values without a projection, or an input that is no feature map.
    Paper: Zhang, Goodfellow, Metaxas, Odena. Self-Attention Generative Adversarial Networks. ICML 2019.
        arXiv:1805.08318
    Code: heykeetae/Self-Attention-GAN ("pytorch"), brain-research/self-attention-gan ("release").
    """

    def __init__(
        self,
        form: str = "pytorch",
        qk_reduction: int = 8,
        value_reduction: int | None = None,
        project: bool | None = None,
        pool: int | None = None,
        use_bias: bool | None = None,
        spectral_norm: bool = False,
        power_iterations: int = 1,
        return_attention: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if form not in FORMS:
            raise ValueError(f"form must be one of {sorted(FORMS)}. Received: form={form!r}")
        defaults = FORMS[form]
        self.form = form
        self.qk_reduction = checked_reduction(qk_reduction, "qk_reduction")
        self.value_reduction = checked_reduction(
            defaults.value_reduction if value_reduction is None else value_reduction, "value_reduction"
        )
        self.project = defaults.project if project is None else project
        self.pool = defaults.pool if pool is None else pool
        self.use_bias = defaults.use_bias if use_bias is None else use_bias
        self.spectral_norm = spectral_norm
        self.power_iterations = power_iterations
        self.return_attention = return_attention
        if self.value_reduction != 1 and not self.project:
            raise ValueError(
                "Values with fewer channels need project=True to get back to the input's. "
                f"Received: value_reduction={self.value_reduction}, project={self.project}"
            )

    def build(self, input_shape: Any) -> None:
        """Create the projections and the weight of the sum."""
        channels = feature_map_channels(self, input_shape)
        hidden = hidden_width(channels, self.qk_reduction)
        values = hidden_width(channels, self.value_reduction)
        self.query = self._projection(channels, hidden, "query")
        self.key = self._projection(channels, hidden, "key")
        self.value = self._projection(channels, values, "value")
        if self.project:
            self.output_projection = self._projection(values, channels, "output_projection")
        self.gamma = self.add_weight(shape=(), initializer="zeros", name="gamma")

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Add what each position gathers from the others."""
        key, value = (max_pooled(projection(x), self.pool) for projection in (self.key, self.value))
        y, attention = attend_maps(self.query(x), key, value, return_attention=self.return_attention, training=training)
        y = self.gamma * (self.output_projection(y) if self.project else y) + x
        return (y, attention) if self.return_attention else y

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape, and the attention's where it is returned."""
        if not self.return_attention:
            return input_shape
        return input_shape, (input_shape[0], map_size(input_shape), map_size(input_shape, self.pool))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "form": self.form,
            "qk_reduction": self.qk_reduction,
            "value_reduction": self.value_reduction,
            "project": self.project,
            "pool": self.pool,
            "use_bias": self.use_bias,
            "spectral_norm": self.spectral_norm,
            "power_iterations": self.power_iterations,
            "return_attention": self.return_attention,
        }

    def _projection(self, inputs: int, outputs: int, name: str) -> keras.Layer:
        layer: keras.Layer = pointwise(outputs, use_bias=self.use_bias, name=name, dtype=self.dtype_policy)
        if self.spectral_norm:
            layer = SpectralNorm(layer, power_iterations=self.power_iterations, name=name, dtype=self.dtype_policy)
        layer.build((None, None, None, inputs))
        return layer
