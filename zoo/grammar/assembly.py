"""Stages, the head, and the network made of them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from kattn.zoo.grammar.convolutions import dense
from kattn.zoo.grammar.convolutions import unchanged as unchanged
from kattn.zoo.grammar.placing import Sites


@dataclass(frozen=True)
class Stage:
    """One stage of a network.

    Attributes:
        build: (x, strides, prefix) to x. A second call makes a second copy with weights of its own; the prefix begins
            the names of its layers.
        strides: The stage's stride in the network.
        transition: What stands between this stage and the next and belongs to neither (DenseNet's transition layer).
        transition_strides: Its stride.
    """

    build: Callable[[Any, int, str], Any]
    strides: int = 1
    transition: Callable[[Any], Any] = unchanged
    transition_strides: int = 1


@dataclass(frozen=True)
class Head:
    """Pooling and classifier, or what `include_top=False` leaves of them.

    Attributes:
        classes: Number of classes; also the width of ABN's attention branch.
        activation: Of the classifier; None gives logits.
        include_top: False ends at the last map, pooled or not.
        pooling: None, "avg" or "max", with include_top=False.
        finish: Applied to the last stage's output first; set by `assemble`.
        classifier: (last map, head) to logits; None is global average pooling and a dense layer.
    """

    classes: int
    activation: str | Callable[..., Any] | None = "softmax"
    include_top: bool = True
    pooling: str | None = None
    finish: Callable[[Any], Any] = unchanged
    classifier: Callable[[Any, Head], Any] | None = None

    def __call__(self, x: Any) -> Any:
        """The last stage's output to class scores, or to features."""
        x = self.finish(x)
        if self.include_top:
            logits = self.classifier(x, self) if self.classifier else self.dense(self.global_average(x))
            return self.activate(logits, name="predictions")
        if self.pooling == "max":
            return keras.layers.GlobalMaxPooling2D(data_format="channels_last", name="max_pool")(x)
        return self.global_average(x) if self.pooling == "avg" else x

    @staticmethod
    def global_average(x: Any) -> Any:
        """Mean over height and width."""
        return keras.layers.GlobalAveragePooling2D(data_format="channels_last", name="avg_pool")(x)

    def dense(self, x: Any) -> Any:
        """The last dense layer."""
        return dense(x, self.classes, dtype=_at_least_float32(), name="logits")

    def activate(self, x: Any, name: str) -> Any:
        """Logits to scores."""
        return keras.layers.Activation(self.activation or "linear", dtype=_at_least_float32(), name=name)(x)


def _at_least_float32() -> str | None:
    # In half precision the loss would lose its small probabilities.
    return "float32" if keras.config.dtype_policy().compute_dtype in ("float16", "bfloat16") else None


def stage_of_blocks(
    block: Callable[..., Any], blocks: int, sites: Sites, number: int, *, filters: int, strides: int
) -> Stage:
    """A stage of equal blocks, `block(x, filters, strides, at)`. The first takes the stride, the others stride 1."""

    def build(x: Any, strides: int, prefix: str) -> Any:
        stage = sites.stage(number, blocks, prefix)
        x = stage.stage_input(x)
        for i in range(1, blocks + 1):
            x = block(x, filters, strides if i == 1 else 1, stage.block(i))
        return x

    return Stage(build, strides)


def assemble(
    x: Any,
    stages: Sequence[Stage],
    sites: Sites,
    head: Head,
    *,
    stem_strides: int,
    finish: Callable[[Any], Any] = unchanged,
    widen: Callable[[Any], Any] = unchanged,
) -> Any:
    """The network behind its stem: the stages with their boundaries, then the tail.

    The map at the end of each resolution is marked by a layer named after its level ("C3" has stride 8), which is what
    `kattn.zoo.features` looks for.

    Args:
        x: Output of the stem.
        stages: In order.
        sites: Of the network.
        head: Maps the last map to the outputs.
        stem_strides: Stride of x against the input.
        finish: What pre-activation networks do to the last stage's output. The last level is marked behind it.
        widen: What stands between the last level and the pooling (MobileNetV2's 1x1 convolution).
    """
    if len(stages) != sites.count:
        raise ValueError(f"sites were made for {sites.count} stages, the network has {len(stages)}")
    strides = stem_strides
    if stages[0].strides > 1:
        x = _mark_level(x, strides)
    for number, stage in enumerate(stages[:-1], start=1):
        strides *= stage.strides
        x = sites.between_stages(stage.build(x, stage.strides, ""), number)
        if stage.transition_strides * stages[number].strides > 1:
            x = _mark_level(x, strides)
        x = stage.transition(x)
        strides *= stage.transition_strides
    last = stages[-1]

    def last_stage(x: Any, strides: int = last.strides, prefix: str = "") -> Any:
        return last.build(x, strides, prefix)

    def finished(x: Any) -> Any:
        return widen(_mark_level(finish(x), strides * last.strides))

    # The tail is given the last stage as a function: ABN builds it twice.
    return sites.tail(x, last_stage, dataclasses.replace(head, finish=finished))


def _mark_level(x: Any, strides: int) -> Any:
    return keras.layers.Identity(name=f"C{int(math.log2(strides))}")(x)
