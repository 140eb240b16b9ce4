"""Spectral normalisation of a layer's kernel."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

INITIAL_STEPS = 15  # of the power iteration on a new kernel, as in torch's parametrisation


@keras.saving.register_keras_serializable("kattn")
class SpectralNorm(keras.layers.Wrapper):
    """Runs a convolution or dense layer with its kernel divided by an estimate of its largest singular value.

    W is the kernel as a (last axis) x (all other axes) matrix, u and v its stored singular vectors:
    v = W^T u / (|W^T u| + epsilon), u = W v / (|W v| + epsilon)     power iteration, in training only
    kernel / sigma, sigma = u . (W v)                                gradients flow through W alone

    A training call makes `power_iterations` steps, keeps u and v, and uses them. At inference the stored vectors are
    used as they are, so two calls agree, and agree with the training call before them. The kernel itself is never
    overwritten. (`keras.layers.SpectralNormalization` overwrites it in training and does nothing at inference; the
    PyTorch wrapper of the SAGAN repositories steps at inference too.) Those start from random vectors, for which sigma
    may be anything; here they start after some steps on the initial kernel, so that an untrained layer is right too.
    A kernel of zeros, for which sigma is 0, stays as it is.

    Args:
        layer: A layer with a `kernel`: Conv2D, Conv2DTranspose, Dense.
        power_iterations: Steps of a training call, at least 1.
        epsilon: Added to the norms.

    Shapes: the layer's.
    Raises: ValueError where the layer has no kernel, or for fewer than one step a call.
    Paper: Miyato, Kataoka, Koyama, Yoshida. Spectral Normalization for Generative Adversarial Networks. ICLR 2018.
        arXiv:1802.05957
    """

    def __init__(self, layer: keras.Layer, power_iterations: int = 1, epsilon: float = 1e-12, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        if power_iterations < 1:
            raise ValueError(f"power_iterations must be at least 1. Received: power_iterations={power_iterations}")
        self.power_iterations = power_iterations
        self.epsilon = epsilon

    def build(self, input_shape: Any = None) -> None:
        """Build the layer, then find both vectors of its kernel."""
        super().build(input_shape)
        if not hasattr(self.layer, "kernel"):
            raise ValueError(f"SpectralNorm takes a layer with a kernel. Received: {type(self.layer).__name__}")
        *others, rows = self.layer.kernel.shape
        # Kept in float32 in mixed precision: half a mantissa is too short to converge with.
        common: dict[str, Any] = {"trainable": False, "autocast": False, "dtype": "float32"}
        self.u = self.add_weight(shape=(rows,), initializer=self._first_u, name="u", **common)
        self.v = self.add_weight(shape=(int(np.prod(others)),), initializer=self._first_v, name="v", **common)

    def call(self, x: Any, training: bool | None = None) -> Any:
        """The layer's output with the normalised kernel."""
        kernel = ops.convert_to_tensor(self.layer.kernel)
        matrix, u, v = self._transposed_matrix(kernel), ops.convert_to_tensor(self.u), ops.convert_to_tensor(self.v)
        if training:
            for _ in range(self.power_iterations):
                u, v = self._step(ops.stop_gradient(matrix), u)
            self.u.assign(u)
            self.v.assign(v)
        sigma = ops.sum(ops.stop_gradient(u) * _w(matrix, ops.stop_gradient(v)))
        normalised = ops.cast(ops.cast(kernel, "float32") / ops.where(ops.equal(sigma, 0.0), 1.0, sigma), kernel.dtype)

        def values(variables: list[Any]) -> list[Any]:
            return [normalised if w is self.layer.kernel else ops.convert_to_tensor(w) for w in variables]

        trainable, fixed = values(self.layer.trainable_variables), values(self.layer.non_trainable_variables)
        return self.layer.stateless_call(trainable, fixed, x)[0]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The layer's."""
        return self.layer.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = super().get_config()
        config["layer"].pop("build_config", None)  # a shape that this layer's own build passes on
        return {**config, "power_iterations": self.power_iterations, "epsilon": self.epsilon}

    def _transposed_matrix(self, kernel: Any) -> Any:
        """W^T: the last axis, the output's (the input's for a transposed convolution), has the columns."""
        return ops.cast(ops.reshape(kernel, (-1, kernel.shape[-1])), "float32")

    def _step(self, matrix: Any, u: Any) -> tuple[Any, Any]:
        """One power iteration: v from u, then u from v, which stays where W v vanishes (else it would for good)."""
        v = _w_transposed(matrix, u)
        v = v / (_norm(v) + self.epsilon)
        new = _w(matrix, v)
        length = _norm(new)
        return ops.where(ops.greater(length, 0.0), new / (length + self.epsilon), u), v

    def _first_u(self, shape: Any, dtype: Any = None) -> Any:
        u = keras.initializers.RandomNormal(stddev=1.0)(shape, dtype=dtype)
        u = u / (_norm(u) + self.epsilon)
        matrix = self._transposed_matrix(ops.convert_to_tensor(self.layer.kernel))
        for _ in range(INITIAL_STEPS):
            u, _ = self._step(matrix, u)
        return u

    def _first_v(self, shape: Any, dtype: Any = None) -> Any:
        matrix = self._transposed_matrix(ops.convert_to_tensor(self.layer.kernel))
        return self._step(matrix, ops.convert_to_tensor(self.u))[1]


# Products as sums: ops.matmul is kept for attention, which the profiler counts by it.
def _w(transposed: Any, v: Any) -> Any:
    return ops.sum(transposed * v[:, None], axis=0)


def _w_transposed(transposed: Any, u: Any) -> Any:
    return ops.sum(transposed * u, axis=1)


def _norm(vector: Any) -> Any:
    return ops.sqrt(ops.sum(ops.square(vector)))
