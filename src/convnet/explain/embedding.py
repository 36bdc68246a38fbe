"""Where a network puts its images: its code, or what its last dense layer is given (M80, M91)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn


def encoder_of(model: nn.Module) -> nn.Module | None:
    """The part of a network that is called `encoder`, if it has one."""
    return next((module for name, module in model.named_modules() if name.endswith("encoder")), None)


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
        last: Any = self.model[-1]
        if hasattr(last, "embed"):
            codes: Tensor = last.embed(self.model[:-1](images))
            return codes.float()
        encoder = encoder_of(self.model)
        seen: list[Tensor] = []
        if encoder is not None:
            hooks = [encoder.register_forward_hook(lambda _layer, _inputs, output: seen.append(output))]
        else:
            dense = [m for m in self.model.modules() if isinstance(m, nn.Linear)]
            layers: list[nn.Module] = [*dense] or [self.model[-1]]
            hooks = [
                layer.register_forward_pre_hook(lambda _layer, inputs: seen.append(inputs[0]))
                for layer in layers
            ]
        try:
            self.model(images)
        finally:
            for hook in hooks:
                hook.remove()
        return seen[-1].flatten(1).float()


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
