"""Segmentation networks whose head is an attention block: PSANet, EncNet, OCNet, DANet and CCNet, on any backbone.

All five take RGB pixels 0-255 and give class probabilities for each pixel. The backbone's last strides become
dilations (`kattn.zoo.dilate`), by default down to stride 8 as in all five releases. The head's logits are enlarged to
the image with aligned corners; sides of 8 n + 1 pixels fit that map best. The authors' ResNets start with three 3x3
convolutions where `resnet101` has one of 7x7.

With `auxiliary=True` the networks also give the outputs that only training needs, as a dict; `segmentation_losses` has
their losses. `keras.Model(model.input, model.output["predictions"])` is the network without them: export keeps that.
"""

from __future__ import annotations

import os

import keras

from kattn.layers.context_encoding import ContextEncoding
from kattn.layers.criss_cross_head import CrissCrossHead
from kattn.layers.dual_attention_head import DualAttentionHead
from kattn.layers.object_context import ObjectContext
from kattn.layers.object_context_asp import ASPObjectContext
from kattn.layers.object_context_pyramid import PyramidObjectContext
from kattn.layers.pieces.conv_norm import ABN_SLOPE, ConvNormActivation
from kattn.layers.pieces.widths import hidden_width
from kattn.layers.psa import PointwiseSpatialAttention
from kattn.zoo.networks.segmentation.frame import InputShape, SegmentationNetwork

OPEN = (None, None, 3)


def psa(
    *,
    backbone: str | keras.Model = "resnet101",
    classes: int = 19,
    channels: int = 512,
    mode: str = "both",
    shrink: int = 2,
    mask_size: tuple[int, int] | None = None,
    compact: bool = False,
    dropout: float = 0.1,
    output_stride: int = 8,
    auxiliary: bool = True,
    input_shape: InputShape = (465, 465, 3),
    classifier_activation: str | None = "softmax",
    include_preprocessing: bool = True,
    weights: str | os.PathLike[str] | None = None,
    name: str | None = None,
) -> keras.Model:
    """PSANet: point-wise spatial attention beside the last map, a 3x3 convolution, the classifier.

    Args:
        backbone: Name of a zoo model, with or without an attention, or a model of the zoo, whose weights are taken.
        classes: Number of classes.
        channels: Width inside the attention and before the classifier; half of it before the auxiliary one.
        mode, shrink, mask_size, compact: Of PointwiseSpatialAttention. Its weights depend on the size of its mask,
            which by default follows from input_shape (59x59 for 465 pixels). Weights of another size need mask_size.
        dropout: Rate at which channels are dropped before the classifiers.
        output_stride: Of the backbone's last map, see `kattn.zoo.dilate`. A CIFAR network's own is 4.
        auxiliary: Also give "auxiliary_predictions", from the level before the last: a dict of outputs.
        input_shape: (height, width, channels); height and width may be None. A backbone given as a model has its own.
        classifier_activation: Of all predictions; None gives logits.
        include_preprocessing: True takes pixels 0-255 and normalises them inside. A backbone given as a model already
            does or does not.
        weights: None (the backbone's, else random) or a path (.weights.h5, .keras) of the whole network.
        name: Of the model.

    Shapes: (batch, height, width, 3) to (batch, height, width, classes), or a dict of such.
    Paper: Zhao, Zhang, Liu, Shi, Loy, Lin, Jia. PSANet: Point-wise Spatial Attention Network for Scene Parsing.
        ECCV 2018.
    Code: hszhao/semseg. As there, the convolution that loses its stride is dilated too.
    TFLite: one GATHER by constant positions: kattn.export.tflite(model, path, allow=("GATHER",)).
    """
    net = SegmentationNetwork("psa", backbone, classes, output_stride, True, input_shape, include_preprocessing)
    attention = PointwiseSpatialAttention(channels, mode, shrink, mask_size, compact, name="psa")
    x = ConvNormActivation(channels, 3, name="head_conv")(attention(net.last))
    outputs = {"predictions": (x, dropout)}
    if auxiliary:
        width = hidden_width(channels, 2)
        outputs["auxiliary_predictions"] = net.auxiliary(width), dropout
    return net.finish(outputs, classifier_activation, weights, name)


def encoding(
    *,
    backbone: str | keras.Model = "resnet101",
    classes: int = 150,
    channels: int = 512,
    codes: int = 32,
    lateral: bool = False,
    dropout: float = 0.1,
    output_stride: int = 8,
    auxiliary: bool = True,
    input_shape: InputShape = OPEN,
    classifier_activation: str | None = "softmax",
    include_preprocessing: bool = True,
    weights: str | os.PathLike[str] | None = None,
    name: str | None = None,
) -> keras.Model:
    """EncNet: a channel gate from an encoding of the whole map, and a head that predicts which classes occur.

    Args:
        channels: Width of the head.
        codes: Codewords of ContextEncoding.
        lateral: Fuse the two levels before the last into the head; the release does so on PASCAL only.
        auxiliary: Also give "auxiliary_predictions", from the level before the last at a quarter of its width, and
            "presence_logits" (batch, classes) for SemanticEncodingLoss: a dict of outputs.
        backbone, classes, dropout, output_stride, input_shape, classifier_activation, include_preprocessing, weights,
            name: As in `psa`. ADE20K has 150 classes.

    Shapes: (batch, height, width, 3) to (batch, height, width, classes), or a dict with such.
    Paper: Zhang, Dana, Shi, Zhang, Wang, Tyagi, Agrawal. Context Encoding for Semantic Segmentation. CVPR 2018.
        arXiv:1803.08904. It has a second presence loss, on stage 3; the code has not.
    Code: zhanghang1989/PyTorch-Encoding
    """
    net = SegmentationNetwork("encoding", backbone, classes, output_stride, False, input_shape, include_preprocessing)
    x = ConvNormActivation(channels, 3, name="head_conv")(net.last)
    if lateral:
        maps = [x, *(ConvNormActivation(channels, name=f"lateral{i}")(net.level(i)) for i in (-3, -2))]
        x = keras.layers.Concatenate(name="lateral_concat")(maps)
        x = ConvNormActivation(channels, 3, name="fuse")(x)
    gate = ContextEncoding(codes, classes if auxiliary else None, name="context_encoding")
    x, *presence = gate(x) if auxiliary else (gate(x),)
    outputs = {"predictions": (x, dropout)}
    extra = {}
    if auxiliary:
        outputs["auxiliary_predictions"] = net.auxiliary(hidden_width(net.level(-2).shape[-1], 4)), dropout
        extra["presence_logits"] = keras.layers.Identity(name="presence_logits", dtype="float32")(presence[0])
    return net.finish(outputs, classifier_activation, weights, name, extra)


def object_context(
    *,
    backbone: str | keras.Model = "resnet101",
    classes: int = 19,
    channels: int = 512,
    form: str = "base",
    dropout: float | None = None,
    output_stride: int = 8,
    auxiliary: bool = True,
    input_shape: InputShape = OPEN,
    classifier_activation: str | None = "softmax",
    include_preprocessing: bool = True,
    weights: str | os.PathLike[str] | None = None,
    name: str | None = None,
) -> keras.Model:
    """OCNet: a 3x3 convolution, then each position gathers context from the positions that are like it.

    Args:
        channels: Width of the head and of the auxiliary one.
        form: "base" (whole map), "pyramid" (whole map and tiles) or "asp" (half the channels, beside dilated
            convolutions).
        dropout: Rate at which channels are dropped at the end of the block and before the auxiliary classifier. None:
            0.05, in "asp" 0.1, as in the code.
        backbone, classes, output_stride, auxiliary, input_shape, classifier_activation, include_preprocessing, weights,
            name: As in `psa`.

    Shapes: (batch, height, width, 3) to (batch, height, width, classes), or a dict of such.
    Memory: N^2 values of attention for N positions of the last map (769 pixels at stride 8: 354 MB), see the layers.
    Paper: Yuan, Wang. OCNet: Object Context Network for Scene Parsing. 2018. arXiv:1809.00916v1
    Code: openseg-group/OCNet.pytorch. As there, the convolution that loses its stride is dilated too, and in "pyramid"
        the convolutions before the block and before the auxiliary classifier have no activation.
    """
    if form not in ("base", "pyramid", "asp"):
        raise ValueError(f'form must be "base", "pyramid" or "asp". Received: form={form!r}')
    net = SegmentationNetwork(
        "object_context", backbone, classes, output_stride, True, input_shape, include_preprocessing
    )
    rate = dropout if dropout is not None else 0.1 if form == "asp" else 0.05
    half = hidden_width(channels, 2)
    slope = 1.0 if form == "pyramid" else ABN_SLOPE  # a leaky ReLU of slope 1 is none
    x = ConvNormActivation(channels, 3, negative_slope=slope, use_bias=True, name="head_conv")(net.last)
    block: keras.Layer
    if form == "base":
        block = ObjectContext(channels, half, half, dropout=rate, name="object_context")
    elif form == "pyramid":
        block = PyramidObjectContext(channels, dropout=rate, name="object_context")
    else:
        block = ASPObjectContext(half, output_channels=channels, dropout=rate, name="object_context")
    outputs = {"predictions": (block(x), 0.0)}
    if auxiliary:
        outputs["auxiliary_predictions"] = net.auxiliary(channels, negative_slope=slope, use_bias=True), rate
    return net.finish(outputs, classifier_activation, weights, name)


def dual_attention(
    *,
    backbone: str | keras.Model = "resnet101",
    classes: int = 19,
    channels: int | None = None,
    negate: bool = True,
    dropout: float = 0.1,
    output_stride: int = 8,
    auxiliary: bool = True,
    input_shape: InputShape = OPEN,
    classifier_activation: str | None = "softmax",
    include_preprocessing: bool = True,
    weights: str | os.PathLike[str] | None = None,
    name: str | None = None,
) -> keras.Model:
    """DANet: a branch of position attention, one of channel attention, and their sum.

    Args:
        channels: Width of both branches; None for a quarter of the last map's.
        negate: Of the channel attention: True as in the code, False as in the paper.
        auxiliary: Also give "position_predictions" and "channel_predictions", of the single branches: a dict.
        backbone, classes, dropout, output_stride, input_shape, classifier_activation, include_preprocessing, weights,
            name: As in `psa`.

    Shapes: (batch, height, width, 3) to (batch, height, width, classes), or a dict of such.
    Memory: N^2 values of attention for N positions of the last map (768 pixels at stride 8: 340 MB), see
        PositionAttention.
    Paper: Fu, Liu, Tian, Li, Bao, Fang, Lu. Dual Attention Network for Scene Segmentation. CVPR 2019. arXiv:1809.02983
    Code: junfu1115/DANet
    """
    net = SegmentationNetwork(
        "dual_attention", backbone, classes, output_stride, False, input_shape, include_preprocessing
    )
    head = DualAttentionHead(channels=channels, negate=negate, auxiliary=auxiliary, name="dual_attention")
    maps = head(net.last) if auxiliary else (head(net.last),)
    names = ("predictions", "position_predictions", "channel_predictions")
    outputs = {key: (x, dropout) for key, x in zip(names, maps, strict=False)}
    return net.finish(outputs, classifier_activation, weights, name)


def criss_cross(
    *,
    backbone: str | keras.Model = "resnet101",
    classes: int = 19,
    channels: int | None = None,
    recurrence: int = 2,
    dropout: float = 0.1,
    output_stride: int = 8,
    auxiliary: bool = True,
    input_shape: InputShape = OPEN,
    classifier_activation: str | None = "softmax",
    include_preprocessing: bool = True,
    weights: str | os.PathLike[str] | None = None,
    name: str | None = None,
) -> keras.Model:
    """CCNet: attention along the row and the column of each position. Applied twice it reaches all positions.

    Args:
        channels: Width of the head and of the auxiliary one; None for a quarter of the last map's (512 in the code).
        recurrence: How often the attention is applied. 2 is the published number; the code's default is 0.
        backbone, classes, dropout, output_stride, auxiliary, input_shape, classifier_activation, include_preprocessing,
            weights, name: As in `psa`.

    Shapes: (batch, height, width, 3) to (batch, height, width, classes), or a dict of such.
    Memory: N (H + W) values of attention for N = H W positions of the last map (769 pixels at stride 8: 7 MB).
    Paper: Huang, Wang, Huang, Huang, Wei, Liu. CCNet: Criss-Cross Attention for Semantic Segmentation. ICCV 2019.
        arXiv:1811.11721
    Code: speedinghzl/CCNet. As there, the convolution that loses its stride is dilated too.
    """
    net = SegmentationNetwork("criss_cross", backbone, classes, output_stride, True, input_shape, include_preprocessing)
    head = CrissCrossHead(channels=channels, recurrence=recurrence, name="criss_cross")
    outputs = {"predictions": (head(net.last), dropout)}
    if auxiliary:
        width = channels or hidden_width(net.last.shape[-1], 4)
        x = net.auxiliary(width, negative_slope=ABN_SLOPE, use_bias=True)
        outputs["auxiliary_predictions"] = x, dropout
    return net.finish(outputs, classifier_activation, weights, name)
