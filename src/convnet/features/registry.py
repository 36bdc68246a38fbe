"""The table of features: `builder(in_channels, image_size, **options)` → a module N×C×H×W → N×D.

All of them take images of 0…1 and gradients of none; those that learn (a codebook) are `Fitted`.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from convnet.registry import Registry

FEATURES: Registry[Callable[..., nn.Module]] = Registry("feature")
