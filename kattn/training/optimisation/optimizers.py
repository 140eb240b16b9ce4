"""Optimizers as the papers' frameworks have them: weight decay, momentum, and the moving average of the weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

NO_DECAY = ("bias", "gamma", "beta", "scale")
CONVENTIONS = ("torch", "caffe")


def decays(variable: Any) -> bool:
    """Whether weight decay is meant for a variable: kernels yes; biases, normalisations and lone scales no."""
    return len(variable.shape) > 1 and variable.path.split("/")[-1] not in NO_DECAY


class AveragedOptimizer(keras.optimizers.Optimizer):
    """What both optimizers share: a moving average of the weights that is taken up once an update.

    Keras's own `use_ema` takes the weights up with every batch, also with those between two updates where gradients
    are accumulated.

    Args:
        average: Momentum of the average, 0 for none. The first update sets it to the weights.
        decay_all: Decay biases and normalisations too, as the papers' own code did.
        **kwargs: As in the Keras optimizer.
    """

    def __init__(self, *, average: float = 0.0, decay_all: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.average = average
        self.decay_all = decay_all

    def build(self, variables: Any) -> None:
        """Create the slots."""
        if not self.built and self.average:
            weights = list(variables)
            self.averaged = lambda: weights  # Keras would take a list of variables for the optimizer's own
        super().build(variables)
        if self.average and not hasattr(self, "averages"):
            self.averages = self.add_optimizer_variables(variables, "average")

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """Update the weights, then their average."""
        updates = self.iterations + 0  # read before it is counted up
        super().apply(grads, trainable_variables)
        if not self.average:
            return
        kept = ops.where(updates > 0, self.average, 0.0)
        kept = ops.where(self.iterations > updates, kept, 1.0)  # else gradients were accumulated, not applied
        for variable, average in zip(self.averaged(), self.averages, strict=True):
            share = ops.cast(kept, average.dtype)
            average.assign(share * average + (1 - share) * ops.convert_to_tensor(variable))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "average": self.average, "decay_all": self.decay_all}


@keras.saving.register_keras_serializable("kattn")
class SGD(AveragedOptimizer, keras.optimizers.SGD):
    """Momentum SGD with weight decay as part of the gradient, under the momentum, in torch's or Caffe's form.

    torch:  g = gradient + l2 * w;  m = momentum * m + g;  w = w - learning_rate * m
    caffe:  g = gradient + l2 * w;  m = momentum * m - learning_rate * g;  w = w + m

    The two are the same at a constant learning rate. Where the rate drops, Caffe's momentum goes on at the old rate
    for some steps: after a tenfold drop the weights differ by a tenth. With `nesterov`, torch's form steps along
    g + momentum * m.

    Keras's own `weight_decay` acts outside the momentum (w -= learning_rate * weight_decay * w): with momentum 0.9 it
    takes ten times the value for the same pull.

    Args:
        l2: The papers' "weight decay", such as 1e-4.
        head: Beginnings of the paths of the variables that learn at the full rate. Others learn at `body_rate` of it.
        body_rate: See head; 1.0 for all alike.
        head_steps: Steps at the beginning in which only the variables of `head` move.
        convention: "torch", as the code of most papers since 2017, or "caffe", as that of SE, GE and SK (and Keras).
        decay_all, average: See `AveragedOptimizer`.
        learning_rate, momentum, nesterov, **kwargs: As in keras.optimizers.SGD.

    Raises: ValueError for an unknown convention.
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
        head_steps: int = 0,
        convention: str = "torch",
        average: float = 0.0,
        **kwargs: Any,
    ) -> None:
        if convention not in CONVENTIONS:
            raise ValueError(f"convention must be one of {', '.join(CONVENTIONS)}. Received: {convention!r}")
        super().__init__(
            average=average,
            decay_all=decay_all,
            learning_rate=learning_rate,
            momentum=momentum,
            nesterov=nesterov,
            **kwargs,
        )
        self.l2 = l2
        self.head = tuple(head)
        self.body_rate = body_rate
        self.head_steps = head_steps
        self.convention = convention

    def build(self, variables: Any) -> None:
        """Create the momentum slots; note which variables decay and which learn slower."""
        if not self.built:
            self.decaying = [bool(self.l2) and (self.decay_all or decays(variable)) for variable in variables]
            alike = self.body_rate == 1.0 and not self.head_steps
            self.slower = [not alike and not variable.path.startswith(self.head) for variable in variables]
        super().build(variables)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One variable's step."""
        index = self._get_variable_index(variable)  # on TensorFlow `variable` is the backend's, without a path
        gradient = ops.cast(gradient, variable.dtype)
        if self.decaying[index]:
            gradient = gradient + self.l2 * ops.convert_to_tensor(variable)
        if self.slower[index]:
            learning_rate = learning_rate * self.body_rate
            if self.head_steps:
                learning_rate = ops.where(self.iterations < self.head_steps, 0.0, learning_rate)
        if self.convention == "caffe" or not self.momentum:
            super().update_step(gradient, variable, learning_rate)
            return
        slot = self.momentums[index]
        pace = self.momentum * ops.convert_to_tensor(slot) + gradient
        self.assign(slot, pace)
        step = gradient + self.momentum * pace if self.nesterov else pace
        self.assign_sub(variable, ops.cast(learning_rate, variable.dtype) * step)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        names = ("l2", "head", "body_rate", "head_steps", "convention")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> SGD:
        """An optimizer from its configuration; one that was saved without a convention had Caffe's."""
        return super().from_config({"convention": "caffe", **config}, custom_objects)


@keras.saving.register_keras_serializable("kattn")
class AdamW(AveragedOptimizer, keras.optimizers.AdamW):
    """Keras's AdamW with torch's epsilon, which remembers, also after saving and loading, what does not decay.

    Args:
        decay_all, average: See `AveragedOptimizer`.
        epsilon: 1e-8 as in torch, where Keras has 1e-7.
        **kwargs: As in keras.optimizers.AdamW.
    """

    def __init__(self, *, decay_all: bool = False, average: float = 0.0, epsilon: float = 1e-8, **kwargs: Any) -> None:
        super().__init__(average=average, decay_all=decay_all, epsilon=epsilon, **kwargs)

    def build(self, variables: Any) -> None:
        """Create the slots; exclude what does not decay."""
        if not self.built and not self.decay_all:
            self.exclude_from_weight_decay(var_list=[variable for variable in variables if not decays(variable)])
        super().build(variables)
