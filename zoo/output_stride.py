"""A network at a finer output stride: its last strides become dilation, its weights stay as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from kattn.graph.calls import Call
from kattn.graph.copies import WeightShapeError, copy_model
from kattn.layers.pieces.dilated_pooling import DilatedPooling2D

CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D)
POOLINGS = (keras.layers.MaxPooling2D, keras.layers.AveragePooling2D)


def dilate(model: keras.Model, output_stride: int = 8, *, dilate_first: bool = False) -> keras.Model:
    """A copy of a model, with its weights, whose map is never more than `output_stride` times smaller than the image.

    The strides beyond that are dropped, and every window behind a dropped stride takes positions as much further apart:
    so each value of the original's maps is found in the copy, at every s-th position of a map that is s times as large,
    and the positions between are computed by the same weights. Exactly so where the original's sizes divide; else but
    for a border. Works on the graph, hence on every backbone and attention made of Keras layers. An attention takes the
    larger map as it is: its own windows (CBAM's 7x7, BAM's) and means are over what it is given.

    Networks with unpadded convolutions (Inception-ResNet-v2, SqueezeNet, Xception's stem) lose a border at each of
    them, as they do at their own stride.

    Args:
        model: A functional model, such as those of the zoo. Not changed.
        output_stride: Power of two, at most the model's own stride.
        dilate_first: Also dilate the convolution that loses its stride, as DeepLab, PSANet, OCNet and CCNet do; the
            values of the original are then not found again. False as EncNet, DANet and torchvision.

    Returns: The copy, a functional model of the same input and the same outputs, whose maps are larger.

    Levels keep their names: C5 of a copy at stride 8 has stride 8 (`kattn.zoo.features`).

    Raises: ValueError for a stride that the model cannot have, a layer that strides inside (selective kernels, split
        attention, the units of the residual attention networks), a nested model, or weights that belong to the size of
        a map (VGG's classifier, gather-excite over the whole map, with its default options, C3).
    """
    if isinstance(output_stride, bool) or not isinstance(output_stride, int) or output_stride < 1:
        raise ValueError(f"output_stride must be an integer of at least 1. Received: output_stride={output_stride!r}")
    nested = next((layer for layer in model.layers if isinstance(layer, keras.Model)), None)
    if nested is not None:
        raise ValueError(f"{model.name}: {nested.name} is a model within the model; give the models one by one.")
    dilation = _Dilation(model.name, output_stride, dilate_first)
    try:
        copy, _ = copy_model(model, recipe=dilation.recipe, make=dilation.make)
    except WeightShapeError as problem:
        raise ValueError(
            f"{model.name}: weight {problem.weight.path} of shape {tuple(problem.weight.shape)} belongs to the map's "
            f"size and would be {problem.shape} at stride {output_stride}. Build the network without it: "
            "include_top=False for a classifier, an extent for gather-excite."
        ) from problem
    if dilation.deepest < output_stride:
        raise ValueError(
            f"{model.name} has a stride of {dilation.deepest} and no more: take output_stride={dilation.deepest} or "
            f"less. Received: output_stride={output_stride}"
        )
    if dilation.reached != output_stride:
        raise ValueError(
            f"{model.name} has no map of stride {output_stride}; the next finer one has {dilation.reached}. "
            f"Received: output_stride={output_stride}"
        )
    return copy


@dataclass(frozen=True)
class Sampling:
    """How a tensor lies on the image: one position every `stride` pixels; neighbours of old are `dilation` apart."""

    stride: int = 1
    dilation: int = 1

    @property
    def nominal(self) -> int:
        """The stride in the original."""
        return self.stride * self.dilation


class _Dilation:
    """Gives the layers of a copy their strides and dilations, and keeps the sampling of each tensor.

    Attributes:
        deepest, reached: The largest stride of the original, and of the copy.
    """

    def __init__(self, name: str, output_stride: int, dilate_first: bool) -> None:
        self.name = name
        self.output_stride = output_stride
        self.dilate_first = dilate_first
        self.deepest = self.reached = 1
        self.sampling: dict[int, Sampling] = {}
        self.tensors: list[Any] = []  # a tensor's id is its own only as long as it lives
        self.called: dict[str, tuple[Sampling, Sampling]] = {}
        self.pads: dict[str, keras.layers.ZeroPadding2D] = {}

    def recipe(self, call: Call, config: dict[str, Any]) -> tuple[type[keras.Layer], dict[str, Any]]:
        """What stands in a layer's place: most often the same layer."""
        layer, before = call.layer, self._before(call)
        after = self._after(layer, before)
        self.called[layer.name] = before, after
        if isinstance(layer, POOLINGS) and after.dilation > 1 and (before.dilation > 1 or layer.strides[0] > 1):
            return DilatedPooling2D, _pooling(layer, before.dilation, call.inputs[0])
        if isinstance(layer, keras.layers.ZeroPadding2D):
            config["padding"] = [[before.dilation * size for size in pair] for pair in layer.padding]
        elif isinstance(layer, CONVOLUTIONS) and after.dilation > 1:
            dropped = after.dilation > before.dilation
            dilation = after.dilation if dropped and self.dilate_first else before.dilation
            config["strides"] = (1, 1) if dropped else layer.strides
            if max(layer.kernel_size) > 1:  # a window of one position has no distances
                config["dilation_rate"] = tuple(dilation * rate for rate in layer.dilation_rate)
                if dilation != before.dilation and layer.padding != "same":
                    # The border before it was made for the smaller dilation.
                    more = tuple((dilation - before.dilation) * (size - 1) // 2 for size in layer.kernel_size)
                    name = f"{layer.name}_wider_pad"
                    self.pads[layer.name] = keras.layers.ZeroPadding2D(more, data_format="channels_last", name=name)
        return type(layer), config

    def make(self, call: Call) -> Any:
        """Call a layer of the copy, and note the sampling of what it gives."""
        now = self._before(call)
        if isinstance(call.layer, keras.Layer):
            before, after = self.called[call.layer.name]
        else:
            before, after = now, self._after(call.layer, now)
        if now != before:
            raise ValueError(f"{self.name}: layer {call.layer.name} is shared between maps of different strides.")
        if call.layer.name in self.pads:
            call.args = (self.pads[call.layer.name](*call.args),)
        outputs = call.run()
        for y in keras.tree.flatten(outputs):
            self.tensors.append(y)
            self.sampling[id(y)] = after
        self.deepest, self.reached = max(self.deepest, after.nominal), max(self.reached, after.stride)
        return outputs

    def _before(self, call: Call) -> Sampling:
        return max((self.sampling.get(id(x), Sampling()) for x in call.inputs), key=lambda one: one.nominal)

    def _after(self, layer: Any, before: Sampling) -> Sampling:
        if not hasattr(layer, "strides"):
            return before
        strides = layer.strides if isinstance(layer.strides, tuple) else (layer.strides,)
        if not isinstance(layer, (*CONVOLUTIONS, *POOLINGS)):
            if before.dilation == 1 and (set(strides) == {1} or before.stride * strides[0] <= self.output_stride):
                return Sampling(before.stride * strides[0])
            raise ValueError(
                f"{self.name}: {layer.name} ({type(layer).__name__}) strides inside, or follows a dropped stride with "
                f"windows of its own, and has no dilated form. Take a network without it, or an output_stride above "
                f"{self.output_stride}."
            )
        if len(set(strides)) > 1:
            raise ValueError(f"{self.name}: {layer.name} strides {strides}, unlike along height and width.")
        if before.stride * strides[0] <= self.output_stride:
            return Sampling(before.stride * strides[0], before.dilation)
        return Sampling(before.stride, before.dilation * strides[0])


def _pooling(layer: Any, dilation: int, x: Any) -> dict[str, Any]:
    """The pooling at stride 1 whose windows lie, at every s-th position, where the original's lay."""
    size, strides = layer.pool_size[0], layer.strides[0]
    if layer.pool_size != (size, size):
        raise ValueError(f"{layer.name} pools {layer.pool_size}: only square windows have a dilated form here.")
    reach = (size - 1) * dilation
    padding = [(0, 0), (0, 0)]
    if layer.padding == "same":
        befores = [dilation * _overhang(length, size, strides, dilation) for length in x.shape[1:3]]
        padding = [(before, reach - before) for before in befores]
    elif strides == size:
        padding = [(0, reach)] * 2  # windows side by side leave no border, so neither does this: the map keeps its size
    mode = "max" if isinstance(layer, keras.layers.MaxPooling2D) else "average"
    common = {"name": layer.name, "dtype": layer.dtype_policy, "trainable": layer.trainable}
    return {**common, "pool_size": size, "dilation": dilation, "mode": mode, "padding": padding}


def _overhang(length: int | None, size: int, strides: int, dilation: int) -> int:
    """By how many positions padding "same" lets the first window hang over; as on an odd map where unknown."""
    old = 2 * strides + 1 if length is None else -(-length // dilation)  # positions of the original's map
    return max((-(-old // strides) - 1) * strides + size - old, 0) // 2
