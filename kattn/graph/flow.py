"""Where tensors of a functional model come from and where they go, with nested models opened on the way."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import keras

from kattn.graph.calls import Call, follow
from kattn.graph.inputs import is_functional
from kattn.graph.outputs import named_outputs


class Flow:
    """The calls of a model's graph, layers and operations alike; a nested model is one call, which `inside` opens.

    The calls are made once more on new inputs: the layers are the model's own, and the model is left as it is.

    Args:
        model: Functional, or Sequential and built.

    Attributes:
        calls: In the order in which the graph runs.
        inputs: The input tensors.
        outputs: The output tensors by name.
    """

    def __init__(self, model: keras.Model) -> None:
        self.calls: list[Call] = []

        def make(call: Call) -> Any:
            self.calls.append(call)
            return call.run()

        copy = follow(model, make)
        self.inputs: list[Any] = copy.inputs
        self.outputs: dict[str, Any] = named_outputs(model, copy.output)
        self._results: list[Any] = keras.tree.flatten(copy.output)
        self._inside: dict[int, Flow] = {}

    def inside(self, call: Call) -> Flow:
        """The graph of the nested model that is called."""
        if id(call) not in self._inside:
            self._inside[id(call)] = Flow(call.layer)
        return self._inside[id(call)]

    def maker(self, tensor: Any) -> Call | None:
        """The call that gives a tensor, inside a nested model where that gives it; None for an input."""
        call = next((call for call in self.calls if any(t is tensor for t in call.results)), None)
        if call is None or not is_functional(call.layer):
            return call
        inner, place = self.inside(call), next(i for i, t in enumerate(call.results) if t is tensor)
        return inner.maker(inner._results[place])

    def before(self, call: Call) -> Call | None:
        """The call that gives what a call takes; None for one that takes an input, or several tensors."""
        if any(one is call for one in self.calls):
            return self.maker(call.inputs[0]) if len(call.inputs) == 1 else None
        return next((found for inner in self._inside.values() if (found := inner.before(call))), None)

    def takers(self, tensor: Any) -> list[Call]:
        """The calls that take a tensor."""
        return [call for call in self.calls if any(t is tensor for t in call.inputs)]

    def chain(self, tensor: Any) -> Generator[Call, None, Any]:
        """The calls that a tensor goes through one after the other, those in nested models in place of the models.

        It ends where a tensor is taken by several calls or by none, and in front of a call that takes several tensors.

        Returns: The last tensor.
        """
        while len(takers := self.takers(tensor)) == 1:
            (call,) = takers
            if len(call.inputs) != 1 or len(call.results) != 1:
                break
            if is_functional(call.layer):
                inner = self.inside(call)
                if (yield from inner.chain(inner.inputs[0])) is not inner._results[0]:
                    break
            else:
                yield call
            tensor = call.results[0]
        return tensor
