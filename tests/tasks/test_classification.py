"""Figures of predictions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from convnet.data import from_tensors
from convnet.device import Compute
from convnet.layers import ConvBlock, FlattenLinear
from convnet.tasks import TASKS, ClassificationResult
from convnet.tasks import task as tasks
from convnet.training import LOSSES


def evaluation(scores: torch.Tensor, targets: torch.Tensor) -> ClassificationResult:
    return ClassificationResult(0.0, scores.softmax(1), targets, torch.arange(len(targets)))


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


def test_every_sample_counts_once_whatever_the_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 255, (70, 1, 8, 8), generator=generator, dtype=torch.uint8)
    dataset = from_tensors("s", images, torch.arange(70) % 3, ("a", "b", "c"), [str(i) for i in range(70)])
    model = torch.nn.Sequential(ConvBlock(1, 4), FlattenLinear((4, 8, 8), 3))
    dataset = replace(dataset, images=dataset.images.float())

    def evaluated(size: int) -> ClassificationResult:
        monkeypatch.setattr(tasks, "evaluation_batch", lambda side: size)
        task, loss = TASKS.build("classification"), LOSSES.build("cross-entropy")
        return task.evaluate(model, dataset, torch.arange(70), loss, Compute())

    small, large = evaluated(9), evaluated(70)
    assert small.loss == pytest.approx(large.loss, rel=1e-5)
    assert small.accuracy == large.accuracy
    assert small.confusion().sum() == 70
    rows = small.per_class()
    assert sum(row["support"] for row in rows) == 70
    right = sum(row["recall"] * row["support"] for row in rows)
    assert right == pytest.approx(small.accuracy * 70)
    assert model.training
