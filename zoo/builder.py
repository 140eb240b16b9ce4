"""From one row of the table of attentions and one of the table of backbones to a Keras model."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import keras

from kattn.facts.description import WEIGHTS
from kattn.facts.of_model import remember
from kattn.zoo.backbones.row import Backbone
from kattn.zoo.freezing import freeze as freeze_up_to
from kattn.zoo.grammar.assembly import Head
from kattn.zoo.grammar.initial_weights import started_by
from kattn.zoo.grammar.placing import Sites
from kattn.zoo.grammar.sites import Attention, chosen_stages
from kattn.zoo.inputs import image_input, normalise
from kattn.zoo.options import STANDARD, check_classifier, check_options, docstring_of, signature_of
from kattn.zoo.weights.agreement import as_built
from kattn.zoo.weights.finding import Source, find_weights
from kattn.zoo.weights.loading import load_weights
from kattn.zoo.weights.saving import remember_built


@functools.cache
def make_builder(name: str, attention: Attention, backbone: Backbone) -> Callable[..., keras.Model]:
    """The function behind `kattn.zoo.<name>`, with a signature and a docstring of its own."""

    of_backbone, of_attention = backbone.user_options(), attention.options()
    own = of_backbone | of_attention
    defaults = {key: option.default for key, option in own.items()}
    if "stages" in own:
        defaults["stages"] = chosen_stages(attention, backbone.stages)

    def builder(**arguments: Any) -> keras.Model:
        check_options(name, arguments, own)
        if arguments.get("stages") is not None:
            arguments["stages"] = chosen_stages(attention.bind(stages=arguments["stages"]), backbone.stages)
        cache_dir = arguments.pop("cache_dir", None)
        if arguments.get("weights") is None:
            return of_options(arguments)
        source = find_weights(arguments["weights"], name, arguments, defaults, cache_dir)
        try:
            check_options(name, source.options, own)
            return of_options({**source.options, **arguments, "weights": source})
        except (TypeError, AttributeError, IndexError, KeyError, ArithmeticError) as problem:
            if not source.options:
                raise
            raise ValueError(
                f"{source.shown}: the file says that it is of a network with options that do not fit {name}, "
                f"{dict(source.options)}: {problem}"
            ) from problem

    def of_options(arguments: dict[str, Any]) -> keras.Model:
        standard: dict[str, Any] = {
            key: arguments.get(key, default)
            for key, (_, default) in STANDARD.items()
            if key not in ("cache_dir", "strict_options")
        }
        bound = attention.bind(**{key: value for key, value in arguments.items() if key in of_attention})
        network = {key: value for key, value in arguments.items() if key in of_backbone}
        model = build(standard.pop("name") or name, bound, backbone, network, **standard)
        remember_built(model, name, as_built(arguments, defaults, backbone))
        return model

    builder.__name__ = builder.__qualname__ = name
    builder.__module__ = "kattn.zoo"
    builder.__signature__ = signature_of(own)  # type: ignore[attr-defined]
    builder.__doc__ = docstring_of(name, attention, backbone)
    return builder


def build(
    name: str,
    attention: Attention,
    backbone: Backbone,
    options: dict[str, Any],
    *,
    weights: Source | None,
    include_top: bool,
    input_shape: Any,
    input_tensor: Any,
    pooling: str | None,
    classes: int | None,
    classifier_activation: Any,
    include_preprocessing: bool,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    freeze: int | None,
) -> keras.Model:
    """Check the arguments, build the graph, load the weights."""
    if missing := backbone.missing(attention):
        reasons = "; ".join(f"{site}, but {backbone.why_not(site)}" for site in missing)
        raise ValueError(f"{name}: the attention would stand at {reasons}.")
    if keras.config.image_data_format() != "channels_last":
        raise ValueError(
            'kattn builds channels-last networks. Received: keras.config.image_data_format() = "channels_first". '
            'Call keras.config.set_image_data_format("channels_last"); export to ONNX offers layout="nchw".'
        )
    if pooling not in (None, "avg", "max"):
        raise ValueError(f'pooling must be None, "avg" or "max". Received: pooling={pooling!r}')
    if classes is not None and (isinstance(classes, bool) or not isinstance(classes, int) or classes < 1):
        raise ValueError(f"classes must be an integer of at least 1. Received: classes={classes!r}")
    check_classifier(classes if include_top else None, classifier_activation)
    if freeze is not None and weights is None:
        raise ValueError(f"freeze keeps weights as they are: give weights=. Received: freeze={freeze!r}")
    x = image = image_input(input_shape, input_tensor, backbone.input_shape)
    if include_preprocessing:
        mean = mean or (weights.mean if weights else None) or backbone.mean
        std = std or (weights.std if weights else None) or backbone.std
        x = normalise(image, mean, std)
    classes = classes or (weights.classes if weights else None) or backbone.classes
    head = Head(classes, classifier_activation, include_top, pooling)
    sites = Sites(attention, backbone.stages)
    with started_by(backbone.initial):
        outputs = backbone.network(x, sites, head, **options)
    if not sites.placed and {*attention.used_sites()} - {"tail"}:
        places = ", ".join(attention.used_sites())
        raise ValueError(f"{name}: the chosen stages have no place for the attention ({places}). Choose other stages.")
    source = keras.utils.get_source_inputs(input_tensor) if input_tensor is not None else image
    model = keras.Model(source, outputs, name=name)
    if weights is not None:
        load_weights(model, weights, name, include_top=include_top)
        # The range is that of the network built here, not of the one that the weights were trained in.
        remember(model, replace(weights.stated, value_range=None), WEIGHTS, weights.shown)
    if freeze is not None:
        freeze_up_to(model, freeze, backbone.stages)
    return model
