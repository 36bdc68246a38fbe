from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from convnet.training import LOSSES, check_gradients

CAT, CAR, FROG = [3.2, 5.1, -1.7], [1.3, 4.9, 2.0], [2.2, 2.5, -3.1]


@pytest.mark.parametrize("name", list(LOSSES))
def test_every_loss_has_right_gradients_and_averages_over_the_batch(name: str) -> None:
    loss = LOSSES.build(name)
    torch.manual_seed(0)
    logits, targets = torch.randn(5, 4), torch.tensor([0, 3, 1, 1, 2])
    check = check_gradients(loss, (logits, targets))
    assert check.passed, str(check)
    one_by_one = torch.stack([loss(logits[i : i + 1], targets[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(loss(logits, targets), one_by_one.mean())


def test_the_svm_loss_by_hand() -> None:
    """M02: Σ_{j≠y} max(0, s_j − s_y + 1) is 2.9, 0 and 12.9 for these scores; their mean is 5.27."""
    hinge = LOSSES.build("hinge")
    scores = torch.tensor([CAT, CAR, FROG])
    each = [hinge(scores[i : i + 1], torch.tensor([i])).item() for i in range(3)]
    assert each == pytest.approx([2.9, 0.0, 12.9], abs=1e-5)
    assert hinge(scores, torch.tensor([0, 1, 2])).item() == pytest.approx(15.8 / 3, abs=1e-5)


def test_the_softmax_loss_by_hand() -> None:
    """M02: −log softmax of the cat's score is −log 0.13."""
    exponentials = [math.exp(s) for s in CAT]
    expected = -math.log(exponentials[0] / sum(exponentials))
    found = LOSSES.build("cross-entropy")(torch.tensor([CAT]), torch.tensor([0])).item()
    assert found == pytest.approx(expected)
    assert expected == pytest.approx(-math.log(0.13), abs=0.01)


@settings(max_examples=30)
@given(st.integers(2, 6), st.integers(1, 5), st.floats(0, 0.5), st.integers(0, 99))
def test_losses_against_their_definitions(k: int, n: int, smoothing: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    s = torch.randn(n, k, generator=generator, dtype=torch.float64) * 3
    y = torch.randint(0, k, (n,), generator=generator)
    right = y.tolist()
    hinge = squared = smooth = rosenblatt = 0.0
    for i in range(n):
        p = (s[i] - s[i].logsumexp(0)).tolist()
        for j in range(k):
            hinge += max(0.0, float(s[i, j] - s[i, y[i]]) + 1) if j != right[i] else 0.0
            squared += (float(s[i, j]) - (j == right[i])) ** 2
            rosenblatt += (float(s[i, j] > 0) - (j == right[i])) * float(s[i, j])
            smooth -= p[j] * ((j == right[i]) * (1 - smoothing) + smoothing / k)
    assert LOSSES.build("hinge")(s, y).item() == pytest.approx(hinge / n, abs=1e-9)
    assert LOSSES.build("perceptron")(s, y).item() == pytest.approx(rosenblatt / n, abs=1e-9)
    assert LOSSES.build("squared-error")(s, y).item() == pytest.approx(squared / n)
    assert LOSSES.build("cross-entropy", label_smoothing=smoothing)(s, y).item() == pytest.approx(smooth / n)
