"""The table of backbones: each file's rows."""

from __future__ import annotations

from kattn.zoo.backbone import Backbone
from kattn.zoo.backbones import (
    densenet,
    mobilenet_v1,
    mobilenet_v2,
    preact_resnet,
    resnet,
    resnext,
    shufflenet_v1,
    shufflenet_v2,
    wide_resnet,
)

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
}
