"""`Network`: normalization and a network as one module."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from convnet.layers.norm import Normalize
from convnet.layers.outputs import plain_outputs


class Network(nn.Sequential):
    """What a run trains and stores: pixels uint8 N×C×H×W → outputs.

    The first module is the normalization, the last one the network. Those between them are the features of a
    pipeline.
    """

    def forward(self, x: Tensor) -> Any:
        """The outputs N×…, in training with auxiliary outputs; see `plain_outputs`."""
        made = super().forward(x)  # type: ignore[no-untyped-call]
        return plain_outputs(made, x.shape[0], training=self.training)

    @property
    def normalize(self) -> Normalize:
        """The normalization of pixels."""
        first = self[0]
        assert isinstance(first, Normalize)
        return first

    @property
    def features(self) -> nn.Sequential:
        """The features of a pipeline; empty for other networks."""
        return nn.Sequential(*list(self)[1:-1])

    @property
    def has_embedding(self) -> bool:
        """Whether the network has a method `embed`, as classifiers and autoencoders have."""
        return hasattr(self.network, "embed")

    @property
    def network(self) -> nn.Module:
        """The network, which takes normalized images or features."""
        return self[-1]
