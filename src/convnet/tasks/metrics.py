"""Figures of merit of one batch, for the loop: a sum over what was judged, and how much that was."""

from __future__ import annotations

import torch
from torch import Tensor

from convnet.types import IGNORED


def label_agreement(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """2·|said ∧ right| and |said| + |right|, whose ratio is F1: logits and 0/1 targets N×K, said above 0."""
    said, right = outputs > 0, targets > 0.5
    return 2 * (said & right).sum(), said.sum() + right.sum()


def correct_classes(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Right classes, and how many there were to say: logits N×K, N×K×H×W and targets N, N×H×W."""
    right = (outputs.argmax(1) == targets).sum()
    if targets.dim() == 1:
        return right, torch.full_like(right, len(targets))
    return right, (targets != IGNORED).sum()
