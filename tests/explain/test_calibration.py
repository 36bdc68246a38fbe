"""Temperature scaling, calibration error and the recognition of unknown samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, roc_auc_score

from convnet.explain.calibration import (
    UNCALIBRATED,
    Calibration,
    brier_score,
    calibrate,
    fit_temperature,
    reliability,
)
from convnet.explain.ranks import average_ranks, separation
from convnet.explain.unknown import FEWEST, coverage_accuracy, fit_unknown, scrambled


def samples(n: int, k: int, temperature: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Targets drawn from softmax(logits), and logits that are too large by a factor."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(n, k, generator=generator, dtype=torch.float64)
    targets = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    return logits * temperature, targets


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_of_overconfident_logits_is_found(temperature: float) -> None:
    logits, targets = samples(20_000, 5, temperature)
    assert fit_temperature(logits, targets) == pytest.approx(temperature, rel=0.05)


def test_calibration_halves_the_error_on_other_samples() -> None:
    logits, targets = samples(20_000, 10, 3.0)
    found = calibrate(logits, targets)
    others, truth = samples(20_000, 10, 3.0, seed=1)
    before = reliability(others.softmax(1), truth).error
    after = reliability((others / found.temperature).softmax(1), truth).error
    assert after < 0.02 < before and after < before / 2


def test_the_temperature_without_errors_is_not_zero() -> None:
    logits = 10 * torch.nn.functional.one_hot(torch.arange(40) % 4, 4).double()
    assert 0.05 < fit_temperature(logits, torch.arange(40) % 4) < 20


def test_the_calibration_error_is_its_definition() -> None:
    logits, targets = samples(300, 4, 2.0)
    probabilities = logits.softmax(1)
    confidence, predicted = probabilities.max(1)
    expected = 0.0
    for low in range(15):
        inside = (confidence > low / 15) & (confidence <= (low + 1) / 15)
        if inside.any():
            right = (predicted == targets)[inside].double().mean()
            expected += float(inside.double().mean() * (right - confidence[inside].mean()).abs())
    assert reliability(probabilities, targets).error == pytest.approx(expected)


def test_the_brier_score_of_two_classes_is_twice_that_of_scikit_learn() -> None:
    logits, targets = samples(200, 2, 1.0)
    probabilities = logits.softmax(1)
    expected = 2 * brier_score_loss(targets.numpy(), probabilities[:, 1].numpy())
    assert brier_score(probabilities, targets) == pytest.approx(expected)


SCORES = st.lists(st.integers(0, 5), min_size=1, max_size=30)


@given(SCORES, SCORES)
def test_separation_is_the_area_under_the_roc(known: list[int], unknown: list[int]) -> None:
    truth = np.array([1] * len(known) + [0] * len(unknown))
    expected = roc_auc_score(truth, np.array(known + unknown, float))
    found = separation(torch.tensor(known).double(), torch.tensor(unknown).double())
    assert found == pytest.approx(expected)


def test_equal_values_share_a_rank() -> None:
    assert average_ranks(torch.tensor([3.0, 1.0, 3.0, 2.0])).tolist() == [3.5, 1, 3.5, 2]


def test_the_threshold_accepts_95_percent_and_the_better_score_is_chosen() -> None:
    known, _ = samples(2000, 5, 3.0)
    flat = 0.1 * torch.randn(500, 5, generator=torch.Generator().manual_seed(2)).double()
    rule = fit_unknown(known, flat)
    assert rule is not None and rule.auroc is not None
    assert 0.95 <= rule.coverage < 0.96
    assert rule.auroc[rule.score] == max(rule.auroc.values())
    assert float(rule.unknown(known.numpy()).mean()) == pytest.approx(1 - rule.coverage)
    # Large logits of every class: the probabilities are flat, the energy is not.
    shifted = fit_unknown(known, flat + 100)
    assert shifted is not None and shifted.score == "max-probability"


def test_the_accuracy_falls_with_the_coverage() -> None:
    logits, targets = samples(2000, 5, 1.0)
    rule = fit_unknown(logits, None)
    assert rule is not None
    coverage, accuracy = coverage_accuracy(logits, targets, rule)
    right = float((logits.argmax(1) == targets).double().mean())
    assert coverage[-1] == 1 and accuracy[-1] == pytest.approx(right)
    assert accuracy[199] > accuracy[-1] + 0.1


def test_no_calibration_without_samples_or_with_infinite_logits() -> None:
    nothing = torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)
    assert calibrate(*nothing) is UNCALIBRATED
    assert calibrate(torch.tensor([[math.inf, 0.0]]), torch.tensor([0])) is UNCALIBRATED
    logits, targets = samples(FEWEST - 1, 3, 1.0)
    assert calibrate(logits, targets).unknown is None


def test_a_calibration_is_stored_and_read() -> None:
    logits, targets = samples(500, 3, 2.0)
    found = calibrate(logits, targets, logits[:50] / 9)
    assert Calibration.from_dict(found.as_dict()) == found


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 13, 9), (2, 1, 30), (5, 1, 1)])
def test_scrambled_samples_keep_their_values(shape: tuple[int, int, int]) -> None:
    images = torch.arange(6 * math.prod(shape)).reshape(6, *shape).float()
    found = scrambled(images)
    assert not torch.equal(found, images)
    assert torch.equal(found.flatten().sort().values, images.flatten().sort().values)
