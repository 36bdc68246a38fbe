"""The registry of features: `builder(in_channels, image_size, **options)` → a module N×C×H×W → N×D.

Features take images with values 0…1 and have no gradients; those that are fitted (codebooks) are `Fitted`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from convnet.layers import Fitted, Passes
from convnet.registry import Registry

FEATURES: Registry[Callable[..., nn.Module], Any] = Registry("feature")


def parts(x: Tensor, size: int) -> tuple[Tensor, ...]:
    """A batch in parts of at most `size` images, which bounds memory; in exported models it stays whole."""
    return (x,) if torch.compiler.is_exporting() else x.split(size)


class Features(Fitted):
    """Several features, concatenated as the channels of images of one pixel."""

    def __init__(self, parts: Iterable[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.out_features = sum(int(getattr(part, "out_features", 0)) for part in self.parts)

    def require_samples(self, train: int, val: int) -> None:
        """Check that there are enough samples for every feature."""
        for part in self._fitted():
            part.require_samples(train, val)

    def fit(self, train: Passes, val: Passes | None) -> None:
        """Fit each feature to the same images."""
        for part in self._fitted():
            part.fit(train, val)

    def forward(self, x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N D 1 1"]:
        """N×C×H×W → N×D×1×1, a form that dense layers and k-NN take like images."""
        with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
            return torch.cat([part(x) for part in self.parts], 1)[:, :, None, None]

    def _fitted(self) -> list[Fitted]:
        return [part for part in self.parts if isinstance(part, Fitted)]
