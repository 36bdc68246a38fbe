"""Ranks, and how two sets of numbers are related by them."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def average_ranks(values: Float[Tensor, N]) -> Float[Tensor, N]:
    """Ranks 1…N; equal values share their mean rank."""
    _, place, counts = torch.unique(values.double(), return_inverse=True, return_counts=True)
    last = counts.cumsum(0).double()
    ranks: Tensor = (last - (counts.double() - 1) / 2)[place]
    return ranks


def rank_correlation(first: Tensor, second: Tensor) -> float:
    """Spearman's rank correlation of two tensors of the same shape; 0 if one is constant."""
    centered = [ranks - ranks.mean() for ranks in map(average_ranks, (first.flatten(), second.flatten()))]
    lengths = [float(ranks.norm()) for ranks in centered]
    return float(centered[0] @ centered[1]) / (lengths[0] * lengths[1]) if all(lengths) else 0.0


def separation(known: Float[Tensor, N], unknown: Float[Tensor, M]) -> float:
    """The area under the ROC curve of two sets of scores: how often a known one exceeds an unknown one.

    Ties count half; 0.5 if a set is empty.
    """
    if not len(known) or not len(unknown):
        return 0.5
    ranks = average_ranks(torch.cat([known, unknown]))[: len(known)]
    wins = ranks.sum() - len(known) * (len(known) + 1) / 2
    return float(wins / (len(known) * len(unknown)))
