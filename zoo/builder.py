"""From one row of the attention table and one row of the backbone table to a Keras model."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import keras

from kattn.zoo.backbones.row import Backbone
from kattn.zoo.freezing import freeze as freeze_up_to
from kattn.zoo.grammar.assembly import Head
from kattn.zoo.grammar.factories import factory_options
from kattn.zoo.grammar.placing import Sites
from kattn.zoo.grammar.sites import Attention
from kattn.zoo.weights.finding import Source, find_weights
from kattn.zoo.weights.loading import load_weights

KEYWORD = inspect.Parameter.KEYWORD_ONLY
STANDARD = {
    "weights": ("str | pathlib.Path | None", None),
    "include_top": ("bool", True),
    "input_shape": ("tuple[int | None, int | None, int] | None", None),
    "input_tensor": ("keras.KerasTensor | None", None),
    "pooling": ("str | None", None),
    "classes": ("int | None", None),
    "classifier_activation": ("str | None", "softmax"),
    "include_preprocessing": ("bool", True),
    "mean": ("Sequence[float] | None", None),
    "std": ("Sequence[float] | None", None),
    "freeze": ("int | None", None),
    "cache_dir": ("str | pathlib.Path | None", None),
    "name": ("str | None", None),
}
STANDARD_DOC = """\
    weights: None (random), the tag of published weights ("imagenet"; `kattn.zoo.info` lists them), or a path:
        .weights.h5, .keras, or a file of another collection (.safetensors, torch's .pth, the .h5 of Keras 2).
    include_top: False leaves pooling and classifier out.
    input_shape: (height, width, channels); height and width may be None. Default: {input_shape}.
    input_tensor: A Keras tensor to build on, instead of a new input.
    pooling: None, "avg" or "max": pooling of the last map, with include_top=False.
    classes: Number of classes. Default: {classes}.
    classifier_activation: Of the classifier; None gives logits.
    include_preprocessing: True takes RGB pixels 0-255 and normalises them inside the model; False leaves that to you.
    mean, std: Of RGB in 0-1, to normalise with. Default: the weights', else {mean} and {std}.
    freeze: With weights: the last stage, from 1, that keeps them; 0 is the stem. Default: everything is trained.
    cache_dir: Folder for fetched weights. Default: KATTN_CACHE, else the user's cache.
    name: Of the model. Default: {name}."""


def missing_sites(attention: Attention, backbone: Backbone) -> list[str]:
    """Sites that the attention stands at and the backbone does not have."""
    return [site for site in attention.used_sites() if site not in backbone.sites]


def make_builder(name: str, attention: Attention, backbone: Backbone) -> Callable[..., keras.Model]:
    """The function behind `kattn.zoo.<name>`, with a signature and a docstring of its own."""
    own = {o.name: o for o in backbone_options(backbone)}
    options = attention.options()
    parameters = [
        inspect.Parameter(key, KEYWORD, default=default, annotation=annotation)
        for key, (annotation, default) in STANDARD.items()
    ]
    signature = inspect.Signature([*parameters, *(own | options).values()], return_annotation="keras.Model")

    def builder(**arguments: Any) -> keras.Model:
        unknown = sorted(set(arguments) - set(signature.parameters))
        if unknown:
            mechanism = ", ".join(sorted(own | options)) or "none"
            raise TypeError(
                f"{name} has no option {', '.join(unknown)}. Options of this model: {mechanism}. "
                f"Options of every model: {', '.join(STANDARD)}."
            )
        cache_dir, source = arguments.pop("cache_dir", None), None
        if arguments.get("weights") is not None:
            source = find_weights(arguments["weights"], name, arguments, cache_dir)
            arguments = {**source.options, **arguments}
        arguments["weights"] = source
        standard: dict[str, Any] = {
            key: arguments.get(key, default) for key, (_, default) in STANDARD.items() if key != "cache_dir"
        }
        bound = attention.bind(**{key: value for key, value in arguments.items() if key in options})
        network = {key: value for key, value in arguments.items() if key in own}
        return build(standard.pop("name") or name, bound, backbone, network, **standard)

    builder.__name__ = builder.__qualname__ = name
    builder.__module__ = "kattn.zoo"
    builder.__signature__ = signature  # type: ignore[attr-defined]
    builder.__doc__ = _docstring(name, attention, backbone, options, own)
    return builder


def backbone_options(backbone: Backbone) -> list[inspect.Parameter]:
    """The keyword options that a backbone offers its users."""
    return [option for option in factory_options(backbone.network) if option.name in backbone.options]


def _docstring(
    name: str, attention: Attention, backbone: Backbone, options: dict[str, Any], own: dict[str, Any]
) -> str:
    parts = [f"{name}: a functional Keras model.", "", "Args:"]
    parts += [
        STANDARD_DOC.format(
            input_shape=backbone.input_shape,
            classes=f"the weights', else {backbone.classes}",
            mean=backbone.mean,
            std=backbone.std,
            name=name,
        )
    ]
    for key, option in (own | options).items():
        detail = {
            "stages": "Stages (counted from 1) that get the attention. Default: the paper's.",
            "position": "Where it stands: input, inner, residual, shortcut, output, stage_input, between_stages.",
        }.get(key, f"Of the mechanism. Default: {option.default!r}." if key in options else "Of the backbone.")
        parts.append(f"    {key}: {detail}")
    documented = [getattr(attention, site) for site in attention.used_sites()]
    for factory in documented:
        target = inspect.unwrap(getattr(factory, "func", factory))
        parts.append(f"    (see help({target.__module__}.{target.__qualname__}))")
    parts += ["", f"Backbone: {backbone.paper}"]
    if attention.paper:
        parts.append(f"Attention: {attention.paper}")
    return "\n".join(parts)


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
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    freeze: int | None = None,
) -> keras.Model:
    """Check the arguments, build the graph, load the weights."""
    missing = missing_sites(attention, backbone)
    if missing:
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
    if freeze is not None and weights is None:
        raise ValueError(f"freeze keeps weights as they are: give weights=. Received: freeze={freeze!r}")
    inputs = _input(backbone, input_shape, input_tensor)
    x = inputs
    if include_preprocessing:
        x = normalise(
            inputs,
            backbone,
            mean=mean or (weights.mean if weights else None),
            std=std or (weights.std if weights else None),
        )
    classes = classes or (weights.classes if weights else None) or backbone.classes
    head = Head(classes, classifier_activation, include_top, pooling)
    sites = Sites(attention, backbone.stages)
    outputs = backbone.network(x, sites, head, **options)
    if not sites.placed and {*attention.used_sites()} - {"tail"}:
        places = ", ".join(attention.used_sites())
        raise ValueError(f"{name}: the chosen stages have no place for the attention ({places}). Choose other stages.")
    source = keras.utils.get_source_inputs(input_tensor) if input_tensor is not None else inputs
    model = keras.Model(source, outputs, name=name)
    if weights is not None:
        load_weights(model, weights, name, include_top=include_top)
    if freeze is not None:
        freeze_up_to(model, freeze, backbone.stages)
    return model


def _input(backbone: Backbone, input_shape: Any, input_tensor: Any) -> Any:
    if input_tensor is not None:
        if not isinstance(input_tensor, keras.KerasTensor):
            raise ValueError(f"input_tensor must be a Keras tensor, keras.Input(...). Received: {input_tensor!r}")
        shape = tuple(input_tensor.shape[1:])
        if input_shape is not None and tuple(input_shape) != shape:
            raise ValueError(f"input_shape {tuple(input_shape)} is not input_tensor's shape {shape}; give one of them.")
        _check_shape(shape)
        return input_tensor
    shape = tuple(input_shape) if input_shape is not None else backbone.input_shape
    _check_shape(shape)
    return keras.Input(shape, name="image")


def _check_shape(shape: tuple[Any, ...]) -> None:
    def positive(size: Any) -> bool:
        return isinstance(size, int) and not isinstance(size, bool) and size >= 1

    if len(shape) != 3 or not positive(shape[2]) or not all(s is None or positive(s) for s in shape[:2]):
        raise ValueError(
            "input_shape must be (height, width, channels): height and width at least 1 or None, channels at least 1. "
            f"Received: {shape}"
        )


def normalise(
    x: Any, backbone: Backbone, *, mean: Sequence[float] | None = None, std: Sequence[float] | None = None
) -> Any:
    """Pixels 0-255 to the network's own scale; channels that are not RGB get the mean of RGB's values."""
    channels = x.shape[-1]
    mean, std = list(mean or backbone.mean), list(std or backbone.std)
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise ValueError(f"mean and std are three numbers, std's above 0. Received: mean={mean}, std={std}")
    if channels != 3:
        mean, std = [sum(mean) / 3] * channels, [sum(std) / 3] * channels
    scale = [1 / (255 * s) for s in std]
    offset = [-m / s for m, s in zip(mean, std, strict=True)]
    return keras.layers.Rescaling(scale, offset, name="normalise")(x)
