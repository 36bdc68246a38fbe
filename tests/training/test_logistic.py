"""Logistic regression on fixed features."""

from __future__ import annotations

import pytest
import torch
from sklearn.linear_model import LogisticRegression

from convnet.training import fit_logistic


def clouds(samples: int, features: int, classes: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    targets = torch.arange(samples) % classes
    centers = torch.randn(classes, features, generator=generator)
    return centers[targets] + torch.randn(samples, features, generator=generator), targets


@pytest.mark.parametrize(("samples", "features"), [(60, 200), (300, 20)])
def test_the_solution_is_that_of_scikit_learn(samples: int, features: int) -> None:
    """With fewer samples than features, too, where the problem is solved in the space of the samples."""
    x, y = clouds(samples, features, 3)
    fitted = fit_logistic(x, y, 3)
    model = LogisticRegression(C=1 / fitted.penalty, max_iter=2000, tol=1e-8).fit(
        x.double().numpy(), y.numpy()
    )

    def objective(weight: torch.Tensor, bias: torch.Tensor) -> float:
        loss = torch.nn.functional.cross_entropy(x @ weight.T + bias, y, reduction="sum")
        return float(loss + fitted.penalty / 2 * weight.square().sum())

    least = objective(torch.from_numpy(model.coef_).float(), torch.from_numpy(model.intercept_).float())
    assert objective(fitted.weight, fitted.bias) <= 1.001 * least


def test_two_classes_and_labels() -> None:
    x, y = clouds(80, 10, 2)
    two = fit_logistic(x, y, 2)
    assert ((x @ two.weight.T + two.bias).argmax(1) == y).float().mean() > 0.9
    labels = torch.stack([y, 1 - y, torch.ones_like(y), torch.zeros_like(y)], 1)
    many = fit_logistic(x, labels, 4)
    predicted = (x @ many.weight.T + many.bias) > 0
    assert (predicted == labels.bool()).float().mean() > 0.9
    assert predicted[:, 2].all() and not predicted[:, 3].any()


def test_classes_without_training_samples_are_never_predicted() -> None:
    x, y = clouds(40, 5, 2)
    fitted = fit_logistic(x, 2 * y, 4)
    assert set((x @ fitted.weight.T + fitted.bias).argmax(1).tolist()) <= {0, 2}
    assert torch.isfinite(fitted.bias).all()
    only = fit_logistic(x, torch.ones_like(y), 3)
    assert set((x @ only.weight.T + only.bias).argmax(1).tolist()) == {1}


def test_the_penalty_is_chosen_where_there_are_samples_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = clouds(60, 5, 2)
    assert fit_logistic(x, y, 2).chosen_by == "cross-validation"
    monkeypatch.setattr("convnet.training.logistic.CROSS_VALIDATED", 10)
    assert fit_logistic(x, y, 2, held_out=clouds(30, 5, 2, seed=1)).chosen_by == "validation"
    assert fit_logistic(x, y, 2).chosen_by == "default"


def test_noise_gets_a_stronger_penalty_than_clear_classes() -> None:
    x, y = clouds(100, 50, 2)
    noise = torch.randn(100, 50, generator=torch.Generator().manual_seed(3))
    assert fit_logistic(noise, y, 2).penalty > fit_logistic(10 * x, y, 2).penalty
