"""What is left alone at the beginning of fine-tuning, and the rates of the parts of a network (M47)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Freezing:
    """For so many epochs nothing but `head` is trained: the rest neither moves nor updates its statistics."""

    model: nn.Module
    head: tuple[nn.Module, ...]
    epochs: int

    def begin(self, epoch: int) -> None:
        """Freeze or thaw for the epoch number `epoch`, counted from 0; the model is in training mode."""
        frozen = epoch < self.epochs
        kept = {id(part) for module in self.head for part in module.modules()}
        own = {id(p) for module in self.head for p in module.parameters()}
        for parameter in self.model.parameters():
            parameter.requires_grad_(not frozen or id(parameter) in own)
        for module in self.model.modules():
            if frozen and id(module) not in kept and not any(True for _ in module.children()):
                module.eval()


def rate_factors(network: nn.Module, decay: float) -> dict[int, float]:
    """The factor of the rate for each parameter, by its id: 1 for the last part with weights.

    Each part before it has `decay` times the factor of the one behind. Parts are the children of the network.
    """
    path = getattr(network, "main_path", network)  # without auxiliary heads, which have the head's rate
    parts: Sequence[nn.Module] = [part for part in path.children() if any(True for _ in part.parameters())]
    factors: dict[int, float] = {}
    for distance, part in enumerate(reversed(parts)):
        factors |= {id(p): decay**distance for p in part.parameters()}
    return factors
