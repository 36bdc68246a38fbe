"""The most frequent class: what anything that looks at the images has to beat."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from convnet.layers import Fitted, Passes
from convnet.models.registry import network


class Majority(Fitted):
    """Every sample gets the logarithms of the classes' shares (+1 each) as logits, whatever it shows."""

    fitted_state = ("counts",)
    counts: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes

    def fit(self, train: Passes, val: Passes | None) -> None:
        """Count the classes."""
        counts = [torch.bincount(targets, minlength=self.num_classes) for _, targets in train()]
        self.counts = torch.stack(counts).sum(0)

    @property
    def classifier(self) -> nn.Module:
        """All of it: nothing is computed before samples are classified."""
        return self

    def forward_features(self, x: Tensor) -> Tensor:
        """The sample itself."""
        return x

    def forward(self, x: Tensor) -> Tensor:
        """N×… → N×K, the same row for each."""
        self.require_fitted()
        return (self.counts + 1).float().log().expand(len(x), -1)


@network("majority", native=(3, 32, 32), num_classes=10, smallest=1, parameters=0, source="classical")
def majority(in_channels: int, num_classes: int, image_size: tuple[int, int]) -> nn.Module:
    """The most frequent class of the training split, for every image. Nothing is trained by steps."""
    return Majority(num_classes)
