"""Embeddings: an autoencoder's code, or the input of a classifier's last dense layer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from convnet.layers import Network


class Encoder(nn.Module):
    """The embedding of a trained network: images as the network takes them → N×D.

    This is the network's own `embed`, or the input of its last dense layer. For a network without dense
    layers it is the input of the last stage.
    """

    def __init__(self, model: Network) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Float[Tensor, "N D"]:
        """N×C×H×W → N×D float32."""
        if self.model.has_embedding:
            network: Any = self.model.network
            codes: Tensor = network.embed(self.model.features(self.model.normalize(images)))
            return codes.float()
        seen: list[Tensor] = []
        hooks = [
            layer.register_forward_pre_hook(lambda _layer, inputs: seen.append(inputs[0]))
            for layer in _dense_layers(self.model)
        ]
        try:
            self.model(images)
        finally:
            for hook in hooks:
                hook.remove()
        return seen[-1].reshape(len(images), -1).float()


def _dense_layers(model: Network) -> list[nn.Module]:
    """The dense layers of a network, or its last stage if it has none."""
    return [m for m in model.modules() if isinstance(m, nn.Linear)] or [model.network]


@torch.no_grad()
def embed(model: Network, batches: Iterable[Tensor]) -> Float[Tensor, "N D"]:
    """Compute the embedding of every image.

    Args:
        model: The network; run in evaluation mode, and its own mode restored.
        batches: Images N×C×H×W as the network takes them.

    Returns:
        float32 N×D.
    """
    encoder, was_training = Encoder(model), model.training
    model.eval()
    try:
        return torch.cat([encoder(images) for images in batches])
    finally:
        model.train(was_training)
