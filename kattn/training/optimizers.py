"""Optimizers whose weight decay is the papers', spares what it should, and survives saving."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

NO_DECAY = ("bias", "gamma", "beta", "scale")


def decays(variable: Any) -> bool:
    """Whether weight decay is meant for a variable: kernels yes; biases, normalisations and lone scales no."""
    return len(variable.shape) > 1 and variable.path.split("/")[-1] not in NO_DECAY


@keras.saving.register_keras_serializable("kattn")
class SGD(keras.optimizers.SGD):
    """Momentum SGD with weight decay as the papers (and torch) have it: part of the gradient, under the momentum.

    g = gradient + l2 * w;  m = momentum * m - learning_rate * g;  w = w + m

    Keras's own `weight_decay` acts outside the momentum (w -= learning_rate * weight_decay * w): with momentum 0.9 it
    takes ten times the value for the same pull.

    Args:
        l2: The papers' "weight decay", such as 1e-4.
        decay_all: Decay biases and normalisations too, as the papers' own code did.
        head: Beginnings of the paths of the variables that learn at the full rate. Others learn at `body_rate` of it.
        body_rate: See head; 1.0 for all alike.
        learning_rate, momentum, nesterov, **kwargs: As in keras.optimizers.SGD.
    """

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        l2: float = 0.0,
        decay_all: bool = False,
        head: Sequence[str] = (),
        body_rate: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate=learning_rate, momentum=momentum, nesterov=nesterov, **kwargs)
        self.l2 = l2
        self.decay_all = decay_all
        self.head = tuple(head)
        self.body_rate = body_rate

    def build(self, variables: Any) -> None:
        """Create the momentum slots; note which variables decay and which learn slower."""
        if not self.built:
            self.decaying = [bool(self.l2) and (self.decay_all or decays(variable)) for variable in variables]
            self.slower = [self.body_rate != 1.0 and not variable.path.startswith(self.head) for variable in variables]
        super().build(variables)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One variable's step."""
        index = self._get_variable_index(variable)  # on TensorFlow `variable` is the backend's, without a path
        if self.decaying[index]:
            gradient = ops.cast(gradient, variable.dtype) + self.l2 * ops.convert_to_tensor(variable)
        if self.slower[index]:
            learning_rate = learning_rate * self.body_rate
        super().update_step(gradient, variable, learning_rate)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        own = {"l2": self.l2, "decay_all": self.decay_all, "head": self.head, "body_rate": self.body_rate}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("kattn")
class AdamW(keras.optimizers.AdamW):
    """Keras's AdamW that remembers, also after saving and loading, what does not decay.

    Args:
        decay_all: Decay biases and normalisations too.
        **kwargs: As in keras.optimizers.AdamW.
    """

    def __init__(self, decay_all: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.decay_all = decay_all

    def build(self, variables: Any) -> None:
        """Create the slots; exclude what does not decay."""
        if not self.built and not self.decay_all:
            self.exclude_from_weight_decay(var_list=[variable for variable in variables if not decays(variable)])
        super().build(variables)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "decay_all": self.decay_all}
