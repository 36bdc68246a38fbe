"""Where a network puts its images: what its last dense layer is given (M80, M91)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn


@torch.no_grad()
def embed(model: nn.Sequential, batches: Iterable[Tensor]) -> Float[Tensor, "N D"]:
    """The input of the last dense layer that the network calls, for every image; N×D float32.

    Of a network without dense layers, the input of its last stage. `batches` are images N×C×H×W as the
    model takes them; it is run in evaluation mode, and its own mode restored.
    """
    seen: list[Tensor] = []
    dense = [m for m in model.modules() if isinstance(m, nn.Linear)]
    layers: list[nn.Module] = [*dense] or [model[-1]]

    def remember(_layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen.append(inputs[0])

    hooks = [layer.register_forward_pre_hook(remember) for layer in layers]
    was_training = model.training
    model.eval()
    parts = []
    try:
        for images in batches:
            seen.clear()
            model(images)
            parts.append(seen[-1].flatten(1).float())
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    return torch.cat(parts)
