"""`train_step`: forward, loss, backward, clip, update."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from convnet.mean_loss import as_mean
from convnet.training.state import Training
from convnet.types import AuxiliaryLogits, Batch


@dataclass(frozen=True)
class StepResult:
    """The result of a step; its tensors are scalars on the device.

    Attributes:
        loss: The mean loss of the batch before the update.
        score: The sum of the metric over the batch.
        weight: The divisor of that sum.
        images: The number of samples in the batch.
        loss_weight: The weight of the loss in the mean over the epoch.
    """

    loss: Tensor
    score: Tensor
    weight: Tensor
    images: int
    loss_weight: Tensor


def train_step(training: Training, batch: Batch) -> StepResult:
    """Train on one batch.

    Args:
        training: The model and everything that trains it; changed in place.
        batch: The batch.

    Returns:
        Loss and metric before the update.
    """
    training.optimizer.zero_grad(set_to_none=True)
    logits, auxiliary = _outputs(training.forward(batch.images))
    loss = _batch_loss(training, logits, batch)
    terms = (weight * _batch_loss(training, other, batch) for other, weight in auxiliary)
    objective = sum(terms, start=loss)
    penalty = training.regularizers.penalty(training.model)
    (objective if penalty is None else objective + penalty).backward()
    if training.clip_norm is not None:
        torch.nn.utils.clip_grad_norm_(training.model.parameters(), training.clip_norm)
    training.optimizer.step()
    training.regularizers.project(training.model)
    if training.ema is not None:
        training.ema.update_parameters(training.model)
    nothing = loss.new_zeros(())
    score, weight = training.metric(logits.detach(), batch.targets) if training.metric else (nothing, nothing)
    loss_weight = as_mean(training.loss).weight(logits.detach(), batch.targets)
    return StepResult(loss.detach(), score, weight, len(batch), loss_weight)


def _outputs(output: Tensor | AuxiliaryLogits) -> tuple[Tensor, list[tuple[Tensor, float]]]:
    """The logits, and the logits of auxiliary heads with their weights."""
    if isinstance(output, AuxiliaryLogits):
        return output.logits.float(), [(logits.float(), output.weight) for logits in output.auxiliary]
    return output.float(), []


def _batch_loss(training: Training, logits: Tensor, batch: Batch) -> Tensor:
    """The loss; for a mixed batch, the weighted mean of the losses for both sets of targets."""
    loss = training.loss(logits, batch.targets)
    if batch.mixed_targets is None:
        return loss
    return batch.mix * loss + (1 - batch.mix) * training.loss(logits, batch.mixed_targets)
