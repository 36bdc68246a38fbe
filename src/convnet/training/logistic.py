"""Logistic regression on fixed features: the head of a network whose other layers are not trained."""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

PENALTIES = (100.0, 30.0, 10.0, 3.0, 1.0)
"""The weights λ of ½λ‖W‖² + Σ loss that are tried, from the strongest, whose solution starts the next."""
DEFAULT_PENALTY = 10.0
"""λ where no samples are left to choose it on."""
FOLDS = 5
CROSS_VALIDATED = 2_000
"""The largest number of training samples for which λ is chosen by cross-validation."""
ITERATIONS = 500

SMALL = 10_000_000
"""The number of features of all samples below which one thread is faster."""

Numbers = NDArray[np.float64]
Others = tuple[Numbers, Numbers] | None
"""Features and targets of held-out samples."""
Found = tuple[Numbers, Numbers, float, str]
"""Weights K×D, biases K, the penalty and how it was chosen."""


@dataclass(frozen=True)
class Logistic:
    """A fitted linear classifier.

    Attributes:
        weight: K×D.
        bias: K.
        penalty: The weight λ of the squared weights.
        chosen_by: How λ was chosen: "validation", "cross-validation" or "default".
    """

    weight: Tensor
    bias: Tensor
    penalty: float
    chosen_by: str


def fit_logistic(
    features: Tensor,
    targets: Tensor,
    num_classes: int,
    *,
    held_out: tuple[Tensor, Tensor] | None = None,
    balanced: bool = False,
) -> Logistic:
    """Fit softmax regression, or one logistic regression per label, by L-BFGS.

    The penalty is chosen by the loss: on 5 folds of up to 2,000 training samples, on the validation samples
    otherwise.

    Args:
        features: N×D.
        targets: Class indices N, or labels N×K, 1 for each that applies.
        num_classes: K.
        held_out: Features and targets of the validation samples.
        balanced: Whether classes have equal weight, however many samples they have.

    Returns:
        Weights and bias.
    """
    from threadpoolctl import threadpool_limits  # imported here like scikit-learn, to which it belongs

    x, y = features.cpu().double().numpy(), targets.cpu().numpy()
    center = x.mean(0)
    others = None if held_out is None else (held_out[0].cpu().double().numpy(), held_out[1].cpu().numpy())
    # With fewer samples than features the solution lies in the space of the samples.
    axes = np.linalg.qr((x - center).T)[0] if len(x) < x.shape[1] else None
    x = _turned(x - center, axes)
    others = others and (_turned(others[0] - center, axes), others[1])
    # Threads wait for each other longer than a small problem takes.
    with threadpool_limits(1 if x.size < SMALL else None):
        fit = _per_label if y.ndim == 2 else partial(_of_classes, num_classes)
        weight, bias, penalty, chosen_by = fit(x, y, others, balanced)
    weight = weight if axes is None else weight @ axes.T
    bias = bias - weight @ center
    return Logistic(torch.from_numpy(weight).float(), torch.from_numpy(bias).float(), penalty, chosen_by)


def _turned(x: Numbers, axes: Numbers | None) -> Numbers:
    return x if axes is None else x @ axes


def _of_classes(num_classes: int, x: Numbers, y: Numbers, others: Others, balanced: bool) -> Found:
    """Softmax regression; classes without a training sample get a probability of nearly zero."""
    if len(np.unique(y)) == 1:
        only = np.where(np.arange(num_classes) == y[0], 0.0, -20.0)
        return np.zeros((num_classes, x.shape[1])), only, DEFAULT_PENALTY, "default"
    fitted, penalty, chosen_by = _chosen(x, y, others, balanced)
    rows, intercepts = _rows(fitted)
    weight, bias = np.zeros((num_classes, x.shape[1])), np.full(num_classes, intercepts.min() - 20)
    there = fitted.classes_.astype(np.int64)
    weight[there], bias[there] = rows, intercepts
    return weight, bias, penalty, chosen_by


def _per_label(x: Numbers, y: Numbers, others: Others, balanced: bool) -> Found:
    """One binary regression per label; a label that all or no samples have is a constant."""
    weight, bias, penalties, how = np.zeros((y.shape[1], x.shape[1])), np.zeros(y.shape[1]), [], "default"
    for k in range(y.shape[1]):
        column = y[:, k].astype(np.float64)
        share = column.mean()
        if share in (0.0, 1.0):
            bias[k] = 10.0 if share else -10.0
            continue
        aside = None if others is None else (others[0], others[1][:, k])
        fitted, penalty, how = _chosen(x, column, aside, balanced)
        weight[k], bias[k] = fitted.coef_[0], fitted.intercept_[0]
        penalties.append(penalty)
    return weight, bias, float(np.median(penalties)) if penalties else DEFAULT_PENALTY, how


def _rows(fitted: Any) -> tuple[Numbers, Numbers]:
    """A row of weights per class; of two classes scikit-learn stores the difference."""
    if len(fitted.classes_) > 2:
        return fitted.coef_, fitted.intercept_
    half, bias = fitted.coef_[0] / 2, fitted.intercept_[0] / 2
    return np.stack([-half, half]), np.array([-bias, bias])


def _chosen(x: Numbers, y: Numbers, held_out: Others, balanced: bool) -> tuple[Any, float, str]:
    """The regression with the best penalty, the penalty, and how it was chosen."""
    fewest = int(np.unique(y, return_counts=True)[1].min())
    if len(x) <= CROSS_VALIDATED and fewest >= 2:
        from sklearn.model_selection import StratifiedKFold  # imported here because it takes a second

        folds = StratifiedKFold(min(FOLDS, fewest), shuffle=True, random_state=0).split(x, y)
        losses = np.zeros(len(PENALTIES))
        for train, test in folds:
            losses += _losses(x[train], y[train], x[test], y[test], balanced)
        best = PENALTIES[int(losses.argmin())]
        return _path(x, y, balanced, (best,))[0], best, "cross-validation"
    if held_out is not None and np.isin(held_out[1], y).any():
        known = np.isin(held_out[1], y)
        fitted = _path(x, y, balanced, PENALTIES)
        losses = np.array([_loss(model, held_out[0][known], held_out[1][known]) for model in fitted])
        best = int(losses.argmin())
        return fitted[best], PENALTIES[best], "validation"
    return _path(x, y, balanced, (DEFAULT_PENALTY,))[0], DEFAULT_PENALTY, "default"


def _losses(x: Numbers, y: Numbers, others: Numbers, truth: Numbers, balanced: bool) -> Numbers:
    """The sum of the losses of held-out samples for every penalty."""
    return np.array([_loss(model, others, truth) for model in _path(x, y, balanced, PENALTIES)])


def _loss(model: Any, x: Numbers, y: Numbers) -> float:
    columns = np.searchsorted(model.classes_, y)
    with np.errstate(divide="ignore"):  # a probability of zero is an infinite loss
        return float(-model.predict_log_proba(x)[np.arange(len(y)), columns].sum())


def _path(x: Numbers, y: Numbers, balanced: bool, penalties: tuple[float, ...]) -> list[Any]:
    """A fitted regression per penalty, each started from the one before."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    found = []
    model = LogisticRegression(
        max_iter=ITERATIONS, warm_start=True, class_weight="balanced" if balanced else None
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the last digits do not matter
        for penalty in penalties:
            model.C = 1 / penalty
            found.append(copy.deepcopy(model.fit(x, y)))
    return found
