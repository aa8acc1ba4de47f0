"""A real ImageNet model, its class names and a few photos, all out of installed packages: no network."""

from __future__ import annotations

from tfxai.zoo.efficientnet import efficientnet_lite0
from tfxai.zoo.packages import imagenet_labels, sample_photos

__all__ = [
    "efficientnet_lite0",
    "imagenet_labels",
    "sample_photos",
]
