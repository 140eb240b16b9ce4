"""Pictures of what a network looks at: `grad_cam`, and `overlay` to draw a map on its image."""

from __future__ import annotations

from kattn.explain.class_activation import grad_cam as grad_cam
from kattn.explain.pictures import overlay as overlay
