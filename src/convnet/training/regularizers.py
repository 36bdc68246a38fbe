"""Regularisers (M43) that act on weights: L2, L1, elastic net (both), max-norm."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from convnet.registry import NonNegative, Positive, Section


class Regularizers(Section):
    """R(W) = ½ l2 ‖W‖² + l1 ‖W‖₁, added to the loss, and the constraint ‖w‖ ≤ max_norm per output unit.

    Weights are the parameters of two or more dimensions; `biases` includes the others in R(W).
    """

    l2: NonNegative = 0.0
    l1: NonNegative = 0.0
    max_norm: Positive | None = None
    biases: bool = False

    def penalty(self, model: nn.Module) -> Tensor | None:
        """R(W) as a scalar with a gradient, or None where both strengths are zero."""
        if not (self.l1 or self.l2):
            return None
        weights = [p for p in model.parameters() if p.requires_grad and (self.biases or p.dim() >= 2)]
        terms = [0.5 * self.l2 * w.square().sum() for w in weights if self.l2]
        terms += [self.l1 * w.abs().sum() for w in weights if self.l1]
        return torch.stack(terms).sum() if terms else None

    @torch.no_grad()
    def project(self, model: nn.Module) -> None:
        """After a step: scale the weights of every output unit whose norm exceeds `max_norm` back to it."""
        if self.max_norm is None:
            return
        for weight in model.parameters():
            if weight.requires_grad and weight.dim() >= 2:
                norms = torch.linalg.vector_norm(weight, dim=tuple(range(1, weight.dim())), keepdim=True)
                weight.mul_((self.max_norm / norms.clamp_min(1e-12)).clamp_max(1))
