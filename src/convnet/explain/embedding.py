"""Where a network puts its images: its code, or what its last dense layer is given (M80, M91)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn


def encoder_of(model: nn.Module) -> nn.Module | None:
    """The part of an autoencoder that makes its code; None of other networks."""
    return next((getattr(m, "encoder", None) for m in model.modules() if hasattr(m, "code_size")), None)


class Encoder(nn.Module):
    """A trained network cut off where its representation is: images as the network takes them → N×D.

    What the network's own `embed` says, the output of the part called `encoder`, or else the input of the
    last dense layer that the network calls; of a network without dense layers, the input of its last stage.
    """

    def __init__(self, model: nn.Sequential) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Float[Tensor, "N D"]:
        """N×C×H×W → N×D float32."""
        encoder = encoder_of(self.model)
        network: Any = self.model[-1]
        if encoder is None and hasattr(network, "embed"):
            codes: Tensor = network.embed(self.model[:-1](images))
            return codes.float()
        seen: list[Tensor] = []
        if encoder is not None:
            hooks = [encoder.register_forward_hook(lambda _layer, _inputs, output: seen.append(output))]
        else:
            hooks = [
                layer.register_forward_pre_hook(lambda _layer, inputs: seen.append(inputs[0]))
                for layer in _dense_layers(self.model)
            ]
        try:
            self.model(images)
        finally:
            for hook in hooks:
                hook.remove()
        return seen[-1].flatten(1).float()


def _dense_layers(model: nn.Sequential) -> list[nn.Module]:
    """Those of a network that does not say where its representation is; its last stage where it has none."""
    return [m for m in model.modules() if isinstance(m, nn.Linear)] or [model[-1]]


@torch.no_grad()
def embed(model: nn.Sequential, batches: Iterable[Tensor]) -> Float[Tensor, "N D"]:
    """The representation of every image, N×D float32.

    `batches` are images N×C×H×W as the model takes them; it is run in evaluation mode, and its own mode
    restored.
    """
    encoder, was_training = Encoder(model), model.training
    model.eval()
    try:
        return torch.cat([encoder(images) for images in batches])
    finally:
        model.train(was_training)
