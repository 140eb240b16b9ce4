"""From one row of the table of attentions and one of the table of backbones to a Keras model."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import keras

from kattn.facts.description import WEIGHTS
from kattn.facts.of_model import known_of, remember
from kattn.zoo.attentions.named import Named, known, settled
from kattn.zoo.attentions.recorded import of_record, record_of
from kattn.zoo.attentions.table import ATTENTIONS
from kattn.zoo.backbones.row import Backbone
from kattn.zoo.freezing import freeze as freeze_up_to
from kattn.zoo.freezing import unfreeze_all_but
from kattn.zoo.grammar.assembly import Head
from kattn.zoo.grammar.combining import AnyAttention, NoPlace, combined
from kattn.zoo.grammar.initial_weights import started_by
from kattn.zoo.grammar.placing import Sites
from kattn.zoo.grammar.sites import Attention, chosen_stages
from kattn.zoo.inputs import image_input, normalise
from kattn.zoo.options import STANDARD, check_classifier, check_options, docstring_of, signature_of
from kattn.zoo.starting import IDENTITY, check_start, model_name, suggesting_start, take_over
from kattn.zoo.weights.agreement import OWN_ATTENTION, as_built
from kattn.zoo.weights.finding import Source, find_weights, is_of
from kattn.zoo.weights.loading import load_weights
from kattn.zoo.weights.saving import built_with, remember_built


@functools.cache
def make_builder(
    name: str,
    attention: AnyAttention,
    backbone: Backbone,
    plain: str = "",
    named: Named = (),
    in_order: bool = False,
) -> Callable[..., keras.Model]:
    """The function behind `kattn.zoo.<name>`, with a signature and a docstring of its own.

    Args:
        name: Of the network.
        attention: What stands in it.
        backbone: Its row.
        plain: Name of the network without attention.
        named: The attentions that `attention` joins.
        in_order: Whether their order says more than the name does.
    """

    of_backbone, of_attention = backbone.user_options(), attention.options()
    own = of_backbone | of_attention
    # An option without a default, or with a different one in each attention, says nothing of what is built.
    unsaid = attention.divided | {key for key, option in own.items() if option.default is option.empty}
    defaults = {key: option.default for key, option in own.items() if key not in unsaid}
    if "stages" in own and (stages := chosen_stages(attention, backbone.stages)):
        defaults["stages"] = stages
    record = record_of(named)
    if not in_order and all(text in ATTENTIONS for text in record):
        record = ()  # the name says it all
    stored = plain if record else name  # what weights are called

    def builder(**arguments: Any) -> keras.Model:
        given = arguments.get("attention")
        # The residual attention network's own option of this name is a word.
        if given is not None and not ("attention" in of_backbone and isinstance(given, str)):
            added, ordered = settled(arguments.pop("attention"))
            return with_attention((*named, *added), plain, backbone, ordered=ordered or bool(named))(**arguments)
        if given is None:
            arguments.pop("attention", None)
        check_options(name, arguments, own)
        if arguments.get("stages") is not None:
            arguments["stages"] = chosen_stages(attention.bind(stages=arguments["stages"]), backbone.stages)
        weights, start = arguments.get("weights"), arguments.get("start")
        check_start(name, start, attention, plain)
        if not attention.used_sites():
            start = arguments["start"] = None  # the plain network begins as itself
        if weights is None:
            arguments.pop("cache_dir", None)
            return of_options(arguments)
        asked = {**arguments, **({OWN_ATTENTION: record} if record else {})}
        if start is not None and not is_of(weights, stored, record):
            return from_plain(arguments)
        cache_dir = arguments.pop("cache_dir", None)
        with suggesting_start(name, plain, attention):
            source = find_weights(weights, stored, asked, defaults, cache_dir)
        options = dict(source.options)
        recorded = options.pop(OWN_ATTENTION, ())
        if recorded and recorded != record:
            there = of_record(recorded, source.shown)
            return with_attention(there, plain, backbone, ordered=True)(**arguments, cache_dir=cache_dir)
        try:
            check_options(name, options, own)
            return of_options({**options, **arguments, "weights": source})
        except (TypeError, AttributeError, IndexError, KeyError, ArithmeticError) as problem:
            if not options:
                raise
            raise ValueError(
                f"{source.shown}: the file says that it is of a network with options that do not fit {name}, "
                f"{options}: {problem}"
            ) from problem

    def of_options(arguments: dict[str, Any]) -> keras.Model:
        standard: dict[str, Any] = {
            key: arguments.get(key, default)
            for key, (_, default) in STANDARD.items()
            if key not in ("attention", "cache_dir", "strict_options")
        }
        bound = attention.bind(**{key: value for key, value in arguments.items() if key in of_attention})
        network = {key: value for key, value in arguments.items() if key in of_backbone}
        with suggesting_start(name, plain, attention):
            model = build(standard.pop("name") or name, bound, backbone, network, **standard)
        said = {key: None for key in arguments if key in own or (key == "start" and arguments[key])}
        built = as_built(arguments, said | defaults, backbone)
        remember_built(model, stored, built | ({OWN_ATTENTION: record} if record else {}))
        return model

    def from_plain(arguments: dict[str, Any]) -> keras.Model:
        """The network around the weights of the plain one, with gates that change nothing."""
        freeze, shown = arguments.pop("freeze", None), arguments.pop("name", None)
        shared = {key: value for key, value in arguments.items() if key in STANDARD or key in of_backbone}
        before = make_builder(plain, Attention(), backbone, plain)(**{**shared, "start": None})
        said = {
            key: value for key, value in arguments.items() if value is not None and key not in ("weights", "cache_dir")
        }
        model = of_options({**built_with(before), **said, "name": shown})
        take_over(model, before)
        if known := known_of(before):
            remember(model, known.stated, known.origin, known.detail)
        if freeze is not None:
            freeze_up_to(model, freeze, backbone.stages)
            unfreeze_all_but(model, before)
        return model

    builder.__name__ = builder.__qualname__ = name
    builder.__module__ = "kattn.zoo"
    builder.__signature__ = signature_of(own)  # type: ignore[attr-defined]
    builder.__doc__ = docstring_of(name, attention, backbone)
    return builder


def with_attention(named: Named, plain: str, backbone: Backbone, *, ordered: bool) -> Callable[..., keras.Model]:
    """The function that builds a plain network with attentions.

    Raises: NoPlace for attentions that have no place in it, or none beside each other.
    """
    labels = [label for label, _ in named]
    try:
        attention, in_order = combined(named, ordered=False), False
        labels.sort()  # the order of mechanisms at different sites means nothing: one network, one name
        named = tuple(sorted(named, key=lambda pair: pair[0]))
    except NoPlace:
        attention, in_order = combined(named, ordered=ordered), True
    name = model_name("_".join(labels) or "none", plain)
    if taken := sorted(STANDARD.keys() & attention.options().keys()):
        raise ValueError(
            f"{name}: {', '.join(taken)} is an option of every model, and of the attention too. Give a function of "
            "name that sets it, or call it otherwise."
        )
    if missing := backbone.missing(attention):
        reasons = "; ".join(f"{site}: {backbone.why_not(site)}" for site in missing)
        raise NoPlace(f"{'_'.join(labels)} has no place in {plain}: {reasons}")
    registered = known()
    listed = not in_order and all(registered.get(label) == one for label, one in named)
    return (make_builder if listed else make_builder.__wrapped__)(name, attention, backbone, plain, named, in_order)


def build(
    name: str,
    attention: AnyAttention,
    backbone: Backbone,
    options: dict[str, Any],
    *,
    weights: Source | None,
    start: str | None,
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
    sites = Sites(attention, backbone.stages, neutral=start == IDENTITY)
    with started_by(backbone.initial), sites.at_convolutions():
        outputs = backbone.network(x, sites, head, **options)
    if places := ", ".join(sites.unplaced()):
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
