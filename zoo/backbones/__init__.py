"""The table of backbones: each file's rows."""

from __future__ import annotations

from kattn.zoo.backbone import Backbone
from kattn.zoo.backbones import resnet

BACKBONES: dict[str, Backbone] = {**resnet.BACKBONES}
