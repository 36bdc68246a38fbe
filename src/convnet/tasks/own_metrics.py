"""Metrics of the user's own: functions of outputs and targets."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from convnet.errors import RecipeError, in_one_line
from convnet.registry import Registry
from convnet.tasks.classification import ClassificationResult
from convnet.tasks.multi_label import MultiLabelResult
from convnet.tasks.task import Evaluation

logger = logging.getLogger(__name__)

METRICS: Registry[Callable[[Tensor, Tensor], float], Any] = Registry("metric", importable=True)
"""Functions of users: logits N×K and targets of all samples of a split → a number."""


def with_metrics(evaluation: Evaluation, metrics: Mapping[str, str]) -> Evaluation:
    """An evaluation with metrics of the user's own; those that are NaN or infinite are left out.

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
    for name in (name for name, value in values.items() if not math.isfinite(value)):
        logger.warning("metric '%s' is %s for %s samples and is left out", name, values[name], len(targets))
    return replace(evaluation, extra={k: value for k, value in values.items() if math.isfinite(value)})


def _value(function: str, name: str, logits: Tensor, targets: Tensor) -> float:
    metric = METRICS[function]
    try:
        return float(metric(logits, targets))
    except Exception as error:  # a user's code may raise anything
        raise RecipeError(
            f"metric '{name}' failed for outputs {tuple(logits.shape)} and targets {tuple(targets.shape)}: "
            f"{type(error).__name__}: {in_one_line(error)}"
        ) from error
