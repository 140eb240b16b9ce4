"""What all segmentation networks share: a dilated backbone, classifiers, logits at the size of the image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from kattn.layers.pieces.conv_norm import ConvNormActivation
from kattn.layers.pieces.resize_like import ResizeLike
from kattn.zoo.grammar.assembly import Head
from kattn.zoo.levels import features
from kattn.zoo.output_stride import dilate
from kattn.zoo.tables import builder
from kattn.zoo.weights.loading import load_weights

InputShape = Sequence[int | None]


class SegmentationNetwork:
    """A dilated backbone in front of a head, and the classifiers behind it."""

    def __init__(
        self,
        kind: str,
        backbone: str | keras.Model,
        classes: int,
        output_stride: int,
        dilate_first: bool,
        input_shape: InputShape,
        include_preprocessing: bool,
    ) -> None:
        if isinstance(classes, bool) or not isinstance(classes, int) or classes < 1:
            raise ValueError(f"classes must be an integer of at least 1. Received: classes={classes!r}")
        self.kind = kind
        self.classes = classes
        if isinstance(backbone, str):
            build: Callable[..., keras.Model] = builder(backbone)
            model = build(
                include_top=False, input_shape=tuple(input_shape), include_preprocessing=include_preprocessing
            )
        elif isinstance(backbone, keras.Model):
            model = backbone
        else:
            raise ValueError(f"backbone must be the name of a zoo model, or a model. Received: {backbone!r}")
        found = features(model)
        self.levels = dilate(features(model, list(found.output)[-3:]), output_stride, dilate_first=dilate_first)

    def level(self, number: int) -> Any:
        """A level's map, counted from the last one: -1."""
        return list(self.levels.output.values())[number]

    @property
    def last(self) -> Any:
        """The last map."""
        return self.level(-1)

    def auxiliary(self, channels: int, **options: Any) -> Any:
        """The auxiliary classifier's input: a 3x3 convolution of the level before the last."""
        return ConvNormActivation(channels, 3, name="auxiliary_conv", **options)(self.level(-2))

    def finish(
        self,
        outputs: Mapping[str, tuple[Any, float]],
        activation: str | None,
        weights: Any,
        name: str | None,
        extra: Mapping[str, Any] | None = None,
    ) -> keras.Model:
        """The model, with its weights.

        Args:
            outputs: Each prediction's map, and the dropout before its classifier.
            activation: Of the predictions.
            weights: None or a path.
            name: Of the model; None for the kind of network.
            extra: Outputs that are no predictions of pixels.
        """
        image = self.levels.inputs[0]
        head = Head(self.classes, activation)
        named = {
            key: head.activate(self._pixels(x, dropout, image, key), name=key) for key, (x, dropout) in outputs.items()
        } | dict(extra or {})
        name = name or self.kind
        model = keras.Model(image, named if len(named) > 1 else named["predictions"], name=name)
        if weights is not None:
            load_weights(model, weights, name)
        return model

    def _pixels(self, x: Any, dropout: float, image: Any, output: str) -> Any:
        """Logits of each pixel of the image."""
        part = output.removesuffix("predictions")
        if dropout:
            x = keras.layers.SpatialDropout2D(dropout, data_format="channels_last", name=f"{part}dropout")(x)
        # In float32 under mixed precision too, like every classifier of the zoo.
        x = keras.layers.Conv2D(self.classes, 1, data_format="channels_last", dtype="float32", name=f"{part}logits")(x)
        return ResizeLike(dtype="float32", name=f"{part}pixels")([x, image])
