"""Regularizers of weights: L2, L1, elastic net (both), max-norm."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from convnet.registry import NonNegative, Positive, Section


class Regularizers(Section):
    """The penalty R(W) = ½ l2 ‖W‖² + l1 ‖W‖₁, added to the loss, and the constraint ‖w‖ ≤ max_norm.

    Attributes:
        l2: The strength of the L2 penalty.
        l1: The strength of the L1 penalty.
        max_norm: The largest norm of the weights of an output unit.
        biases: Whether R(W) includes parameters of fewer than two dimensions.
    """

    l2: NonNegative = 0.0
    l1: NonNegative = 0.0
    max_norm: Positive | None = None
    biases: bool = False

    def penalty(self, model: nn.Module) -> Tensor | None:
        """R(W) as a differentiable scalar; None if both strengths are zero."""
        if not (self.l1 or self.l2):
            return None
        weights = [p for p in model.parameters() if p.requires_grad and (self.biases or p.dim() >= 2)]
        terms = [0.5 * self.l2 * w.square().sum() for w in weights if self.l2]
        terms += [self.l1 * w.abs().sum() for w in weights if self.l1]
        return torch.stack(terms).sum() if terms else None

    @torch.no_grad()
    def project(self, model: nn.Module) -> None:
        """Scale the weights of every output unit whose norm exceeds `max_norm`; called after each step."""
        if self.max_norm is None:
            return
        for weight in model.parameters():
            if weight.requires_grad and weight.dim() >= 2:
                norms = torch.linalg.vector_norm(weight, dim=tuple(range(1, weight.dim())), keepdim=True)
                weight.mul_((self.max_norm / norms.clamp_min(1e-12)).clamp_max(1))
