"""The attention in a model's graph: of all layers that offer it, kattn's and others.

A layer offers its attention in one of three ways:

- by a constructor option `return_attention`, with which it returns its attention after its other outputs;
- by a class attribute `attention_output`, the number of the output that is the attention (ABN's branch);
- by a method `channel_gate(x)`, which returns its gate (batch, 1, 1, channels) for its input (CBAM).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from kattn.explain.attending.kinds import Kind, kind_of
from kattn.explain.attending.site import Site
from kattn.graph.calls import Call, is_map
from kattn.graph.opened import Graph
from kattn.suggest import closest


class ChannelGate(keras.Layer):
    """The channel gate of another layer."""

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        super().__init__(dtype=layer.dtype_policy, **kwargs)
        self.layer = layer
        self.built = True

    def call(self, x: Any) -> Any:
        """The layer's gate of x."""
        return self.layer.channel_gate(x)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(batch, 1, 1, channels)."""
        return (input_shape[0], 1, 1, input_shape[-1])


class AttentionGraph(Graph):
    """A model's graph in which attention layers give their attention.

    Layers that return it by an option are replaced by copies with their weights; all others are the model's own.

    Args: as `Graph`.

    Attributes:
        sites: The attentions, in order.
        kinds: What each is, by the site's name.
    """

    def __init__(
        self, model: Any, *, output: str | int | None = None, image_shape: Sequence[int] | None = None
    ) -> None:
        copies: dict[int, keras.Layer | None] = {}
        super().__init__(
            model, output=output, image_shape=image_shape, visit=lambda call: _keep_attention(call, copies)
        )
        self.sites = [site for call in self.calls for site in _sites(call)]
        self.kinds: dict[str, Kind] = {site.name: kind_of(site) for site in self.sites}

    def chosen(self, layers: Sequence[str] | str | None, *, positions: bool = False) -> list[Site]:
        """The attentions of these layers, by default of all; with `positions` only those that make maps.

        Raises: ValueError for a layer that has none (with the closest that have one), and where nothing is left.
        """
        sites = [site for site in self.sites if not positions or self.kinds[site.name].to_map is not None]
        if layers is not None:
            names = [layers] if isinstance(layers, str) else list(layers)
            wanted = [_found(name, sites, self) for name in names]
            return [site for group in wanted for site in group]
        if sites:
            return sites
        others = ", ".join(f"{site.name} ({self.kinds[site.name].what})" for site in self.sites[:5])
        raise ValueError(
            f"model {self.name!r} has no attention over positions; it has {others or 'no attention layers at all'}. "
            + ("attention_values gives their values." if others else "grad_cam explains any network.")
        )


def _found(name: str, sites: Sequence[Site], graph: Graph) -> list[Site]:
    """The attentions of a layer, by its name (inside a nested model its own is enough) or by one attention's."""
    for short in (lambda full: full, lambda full: full.rsplit(":", 1)[0], lambda full: full.rsplit("/", 1)[-1]):
        found = [site for site in sites if short(site.name) == name]
        if found:
            return found
    names = [site.name for site in sites]
    close = ", ".join(closest(name, names) or names[:5]) or "none at all"
    raise ValueError(f"model {graph.name!r} has no such attention in a layer {name!r}; closest: {close}.")


def _keep_attention(call: Call, copies: dict[int, keras.Layer | None]) -> Any:
    """Make a call and keep its attention with it: what the layer itself gives, and its channel gate."""
    layer = call.layer
    if hasattr(layer, "return_attention"):
        outputs, own = _returned(call, copies)
    else:
        outputs = call.run()
        own = [keras.tree.flatten(outputs)[layer.attention_output]] if hasattr(layer, "attention_output") else []
    gate = [ChannelGate(layer)(call.args[0])] if hasattr(layer, "channel_gate") else []
    call.kept = (own, gate)
    return outputs


def _returned(call: Call, copies: dict[int, keras.Layer | None]) -> tuple[Any, list[Any]]:
    """What the layer gives, and the attention that its option `return_attention` adds."""
    layer = call.layer
    if layer.return_attention:
        outputs = call.run()
        plain = _copy(layer, False)
        count = 1 if plain is None else len(keras.tree.flatten(plain(*call.args, **call.kwargs)))
        return outputs, keras.tree.flatten(outputs)[count:]
    outputs = call.run()
    first = id(layer) not in copies
    copy = copies.setdefault(id(layer), _copy(layer, True) if first else None)
    if copy is None:
        return outputs, []
    flat = keras.tree.flatten(call.run(copy))
    if first:
        copy.set_weights(layer.get_weights())
    count = len(keras.tree.flatten(outputs))
    return keras.tree.pack_sequence_as(outputs, flat[:count]), flat[count:]


def _copy(layer: keras.Layer, return_attention: bool) -> keras.Layer | None:
    """A new layer of this configuration; None where it has no attention to return (CBAM without its spatial gate)."""
    try:
        return type(layer).from_config({**layer.get_config(), "return_attention": return_attention})
    except (TypeError, ValueError):
        return None


def _sites(call: Call) -> list[Site]:
    """The attentions kept with a call."""
    own, gate = call.kept or ([], [])
    maps = tuple(tuple(t.shape[1:]) for t in keras.tree.flatten(call.args[:1]) if is_map(t))
    output = tuple(keras.tree.flatten(call.outputs)[0].shape[1:])
    shapes = tuple(tuple(t.shape[1:]) for t in own)
    names = [call.name if i == 0 else f"{call.name}:{i + 1}" for i in range(len(own))]
    names += [f"{call.name}:channels" if own else call.name for _ in gate]
    return [
        Site(name, call.layer, tensor, number, maps, output, shapes)
        for number, (name, tensor) in enumerate(zip(names, [*own, *gate], strict=True))
    ]
