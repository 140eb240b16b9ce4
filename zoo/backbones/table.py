"""The table of backbones: each file's rows.

A new backbone is a file with its rows, and a line here. Models with every attention that has a place in it, options,
listing, features, weights, training and export follow from it.
"""

from __future__ import annotations

from kattn.zoo.backbones import (
    bn_inception,
    densenet,
    inception_resnet_v2,
    mobilenet_v1,
    mobilenet_v2,
    preact_resnet,
    residual_attention_network,
    resnet,
    resnext,
    shufflenet_v1,
    shufflenet_v2,
    squeezenet,
    vgg,
    wide_resnet,
    xception,
)
from kattn.zoo.backbones.row import Backbone

BACKBONES: dict[str, Backbone] = {
    **resnet.BACKBONES,
    **preact_resnet.BACKBONES,
    **wide_resnet.BACKBONES,
    **resnext.BACKBONES,
    **densenet.BACKBONES,
    **mobilenet_v1.BACKBONES,
    **mobilenet_v2.BACKBONES,
    **shufflenet_v1.BACKBONES,
    **shufflenet_v2.BACKBONES,
    **squeezenet.BACKBONES,
    **vgg.BACKBONES,
    **bn_inception.BACKBONES,
    **inception_resnet_v2.BACKBONES,
    **xception.BACKBONES,
    **residual_attention_network.BACKBONES,
}
