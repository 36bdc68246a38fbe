"""Figures of predictions."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from convnet.training import Evaluation


def evaluation(scores: torch.Tensor, targets: torch.Tensor) -> Evaluation:
    return Evaluation(0.0, scores.softmax(1), targets, torch.arange(len(targets)))


@given(st.integers(2, 40), st.integers(0, 99))
def test_the_area_under_the_roc_is_the_share_of_ordered_pairs(n: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(0, 5, (n, 2), generator=generator).double()  # with ties
    targets = torch.arange(n) % 2
    curve = evaluation(scores, targets).roc()
    assert curve is not None
    positive = scores.softmax(1)[:, 1].numpy()
    pairs = [
        (a > b) + 0.5 * (a == b)
        for a in positive[targets.numpy() == 1]
        for b in positive[targets.numpy() == 0]
    ]
    assert np.isclose(curve[2], np.mean(pairs))


def test_only_of_two_classes_that_are_both_there() -> None:
    assert evaluation(torch.rand(6, 3), torch.arange(6) % 3).roc() is None
    assert evaluation(torch.rand(6, 2), torch.zeros(6, dtype=torch.int64)).roc() is None
