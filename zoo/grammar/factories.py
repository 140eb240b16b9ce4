"""Factories: what stands at a site. Those of the plain network, and what can be asked of any."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from typing import Any

import keras

from kattn.graph.copies import accepted, copy_layer
from kattn.layers.pieces.norms import BN_EPSILON
from kattn.layers.pieces.rezero import ReZero, is_identity
from kattn.zoo.grammar.convolutions import bn_act, conv_bn

# Called with a mechanism's options and a name; gives a callable on tensors, such as a layer.
Factory = Callable[..., Any]

# Parameters of factories that the backbone sets, not its user. A layer that also returned its attention
# (return_attention) could not stand in a network.
NOT_OPTIONS = {"self", "name", "dtype", "filters", "strides", "groups", "x", "last_stage", "head", "return_attention"}


def identity(**_: Any) -> Callable[[Any], Any]:
    """The plain network at every site that maps a tensor to a tensor."""
    return lambda x: x


def plain_conv(**_: Any) -> Callable[..., Any]:
    """The plain network at the sites that are a convolution."""

    def apply(
        x: Any,
        filters: int,
        kernel_size: int,
        strides: int,
        *,
        name: str,
        at: Any,
        later_strides: int = 1,
        **options: Any,
    ) -> Any:
        return conv_bn(x, filters, kernel_size, strides, name=name, **options)

    return apply


def plain_tail(x: Any, last_stage: Callable[..., Any], head: Callable[[Any], Any]) -> Any:
    """The plain network's end: the last stage, then the head."""
    return head(last_stage(x))


def as_conv(layer: type[keras.layers.Layer]) -> Factory:
    """A `spatial_conv` factory from a layer class that replaces the 3x3 convolution and its normalisation.

    The layer takes the filters, strides and groups of the convolution that it replaces, as SKNet's does in a ResNeXt.
    """

    def factory(**options: Any) -> Callable[..., Any]:
        def apply(x: Any, filters: int, kernel_size: int, strides: int, *, name: str, groups: int = 1, **_: Any) -> Any:
            return layer(filters, strides=strides, groups=groups, name=f"{name}_{layer_name(layer)}", **options)(x)

        return apply

    factory.__wrapped__ = layer  # type: ignore[attr-defined]  # its options are the layer's
    return factory


def as_bare_conv(layer: type[keras.layers.Layer]) -> Factory:
    """A `spatial_conv` factory from a layer class that replaces the 3x3 convolution alone.

    The normalisation and the activation follow it, as BoTNet's follow its self-attention. The layer takes the filters
    and strides of the convolution.
    """

    def factory(**options: Any) -> Callable[..., Any]:
        def apply(
            x: Any,
            filters: int,
            kernel_size: int,
            strides: int,
            *,
            name: str,
            activation: str | None = "relu",
            norm: bool = True,
            epsilon: float = BN_EPSILON,
            gamma: str = "ones",
            **_: Any,
        ) -> Any:
            x = layer(filters, strides=strides, name=f"{name}_{layer_name(layer)}", **options)(x)
            return bn_act(x, activation, epsilon=epsilon, gamma=gamma, name=name) if norm else x

        return apply

    factory.__wrapped__ = layer  # type: ignore[attr-defined]  # its options are the layer's
    return factory


def unwrapped(factory: Factory) -> Factory:
    """The layer class or function behind partials and `as_conv`."""
    while isinstance(factory, functools.partial):
        factory = factory.func
    return inspect.unwrap(factory)


def layer_name(factory: Factory) -> str:
    """How the layers that a factory makes end their names: SqueezeExcite gives "squeeze_excite"."""
    name = getattr(unwrapped(factory), "__name__", "")
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower() if name.isidentifier() else "attention"


def made(factory: Factory, name: str) -> Any:
    """What a factory makes, with this name: also of one that takes no name, or gives a layer that stands elsewhere."""
    if accepted(factory, ("name",)):
        return factory(name=name)
    layer = factory()
    if isinstance(layer, keras.Layer):
        layer = copy_layer(layer) if layer.built else layer
        layer.name = name  # weights take it into their paths when they are created
    return layer


def check_shape(factory: Factory, name: str, x: Any, y: Any) -> None:
    """Raise ValueError for attention at a site that does not give what it takes: a map of the same shape."""
    if not isinstance(y, keras.KerasTensor) or tuple(y.shape) != tuple(x.shape):
        given = keras.tree.map_structure(lambda t: tuple(getattr(t, "shape", ())), y)
        raise ValueError(
            f"{getattr(unwrapped(factory), '__name__', factory)} cannot stand at {name}: attention at a site gives a "
            f"map of the shape that it takes. Of {tuple(x.shape)} it makes {given}."
        )


def neutral(layer: Any, x: Any, y: Any, name: str) -> Any:
    """x, and what a layer changes of it by a learned scale that starts at zero.

    Args:
        layer: That made y of x. One that is an identity at its own start needs no scale, which would hold it there.
        name: Of the scale.
    """
    if isinstance(layer, keras.Layer) and is_identity(layer, x):
        return y
    return ReZero(name=name)([x, y])


def factory_options(factory: Factory) -> list[inspect.Parameter]:
    """The keyword options of a factory; what a partial sets is the default."""
    preset: dict[str, Any] = {}
    while isinstance(factory, functools.partial):
        preset = {**factory.keywords, **preset}
        factory = factory.func
    target = unwrapped(factory)
    target = target.__init__ if inspect.isclass(target) else target  # type: ignore[misc]
    return [
        p.replace(kind=inspect.Parameter.KEYWORD_ONLY, default=preset.get(p.name, p.default))
        for p in inspect.signature(target).parameters.values()
        if p.name not in NOT_OPTIONS and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
    ]
