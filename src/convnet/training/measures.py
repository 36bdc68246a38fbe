"""Figures of merit of one batch, for the loop: a sum over what was judged, and how much that was."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from convnet.types import IGNORED

Measure = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""outputs N×…, targets N×… → the sum of the scores and the number of them, both scalars."""


def correct_classes(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Right classes, and how many there were to say: logits N×K, N×K×H×W and targets N, N×H×W."""
    right = (outputs.argmax(1) == targets).sum()
    if targets.dim() == 1:
        return right, torch.full_like(right, len(targets))
    return right, (targets != IGNORED).sum()
