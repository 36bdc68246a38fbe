"""The majority class, the simplest baseline."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from convnet.layers import Fitted, Passes
from convnet.models.registry import Facts, network
from convnet.types import ImageShape


class Majority(Fitted):
    """Returns the logarithms of the class counts (plus 1) as logits for every sample."""

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
        """The model itself, because there are no features."""
        return self

    def forward_features(self, x: Tensor) -> Tensor:
        """The sample itself."""
        return x

    def forward(self, x: Tensor) -> Tensor:
        """N×… → N×K, the same row for each."""
        self.require_fitted()
        return (self.counts + 1).float().log().expand(x.shape[0], -1)


@network(
    "majority",
    Facts(
        native=ImageShape(3, 32, 32),
        num_classes=10,
        smallest=1,
        parameters=0,
        source="classical",
        baseline=True,
        fitted=True,
    ),
)
def majority(in_channels: int, num_classes: int, image_size: tuple[int, int]) -> nn.Module:
    """Predicts the most frequent class of the training split. Fitted in one pass (epochs is 0)."""
    return Majority(num_classes)
