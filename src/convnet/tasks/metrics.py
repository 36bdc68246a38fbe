"""Metrics of a batch for the training loop, as (sum, weight)."""

from __future__ import annotations

import torch
from torch import Tensor

from convnet.types import IGNORED


def label_agreement(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """2·TP and (predicted + true positives in the targets), whose ratio is F1; logits and targets N×K."""
    said, right = outputs > 0, targets > 0.5
    return 2 * (said & right).sum(), said.sum() + right.sum()


def correct_classes(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The number of correct classes, and of targets; logits N×K or N×K×H×W, targets N or N×H×W."""
    right = (outputs.argmax(1) == targets).sum()
    if targets.dim() == 1:
        return right, torch.full_like(right, len(targets))
    return right, (targets != IGNORED).sum()
