"""Metrics of the user's own: functions of outputs and targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from convnet.errors import RecipeError, in_one_line
from convnet.registry import Registry
from convnet.tasks.classification import ClassificationResult
from convnet.tasks.multi_label import MultiLabelResult
from convnet.tasks.task import Evaluation

METRICS: Registry[Callable[[Tensor, Tensor], float], Any] = Registry("metric", importable=True)
"""Functions of users: logits N×K and targets of all samples of a split → a number."""


def with_metrics(evaluation: Evaluation, metrics: Mapping[str, str]) -> Evaluation:
    """An evaluation with metrics of the user's own.

    Args:
        evaluation: The evaluation.
        metrics: The functions by the names of their values in results.

    Raises:
        RecipeError: A metric fails or does not return a number, or the task keeps no outputs.
    """
    if not metrics:
        return evaluation
    if not isinstance(evaluation, ClassificationResult | MultiLabelResult):
        raise RecipeError("metrics of your own apply to classification and multi-label only")
    logits, targets = evaluation.logits, evaluation.targets
    values = {name: _value(function, name, logits, targets) for name, function in metrics.items()}
    return replace(evaluation, extra=values)


def _value(function: str, name: str, logits: Tensor, targets: Tensor) -> float:
    metric = METRICS[function]
    try:
        return float(metric(logits, targets))
    except Exception as error:  # a user's code may raise anything
        raise RecipeError(
            f"metric '{name}' failed for outputs {tuple(logits.shape)} and targets {tuple(targets.shape)}: "
            f"{type(error).__name__}: {in_one_line(error)}"
        ) from error
