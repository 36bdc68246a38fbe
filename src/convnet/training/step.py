"""`train_step`: forward, loss, backward, clip, update."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from convnet.errors import RecipeError
from convnet.mean_loss import MeanLoss, as_mean
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
        parts: The mean of each part of the loss, P.
        part_weights: The weights of these means in the mean over the epoch, P.
    """

    loss: Tensor
    score: Tensor
    weight: Tensor
    images: int
    parts: Tensor
    part_weights: Tensor


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
    loss, parts = _batch_loss(training, logits, batch)
    terms = (weight * _batch_loss(training, other, batch)[0] for other, weight in auxiliary)
    objective = sum(terms, start=loss)
    penalty = training.regularizers.penalty(training.model)
    if not objective.requires_grad:
        raise RecipeError(
            "the loss has no gradient; compute it from the outputs without argmax, comparisons, detach() or "
            "numbers of Python"
        )
    (objective if penalty is None else objective + penalty).backward()
    if training.clip_norm is not None:
        torch.nn.utils.clip_grad_norm_(training.model.parameters(), training.clip_norm)
    training.optimizer.step()
    training.regularizers.project(training.model)
    if training.ema is not None:
        training.ema.update_parameters(training.model)
    nothing = loss.new_zeros(())
    score, weight = training.metric(logits.detach(), batch.targets) if training.metric else (nothing, nothing)
    means = (part for _, part in as_mean(training.loss).terms)
    weights = torch.stack([part.weight(logits.detach(), batch.targets) for part in means])
    return StepResult(loss.detach(), score, weight, len(batch), parts.detach(), weights)


def _outputs(output: Tensor | AuxiliaryLogits) -> tuple[Tensor, list[tuple[Tensor, float]]]:
    """The logits, and the logits of auxiliary heads with their weights."""
    if isinstance(output, AuxiliaryLogits):
        return output.logits.float(), [(logits.float(), output.weight) for logits in output.auxiliary]
    return output.float(), []


def _batch_loss(training: Training, logits: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """The loss and its parts; for a mixed batch, the weighted means of those for both sets of targets."""

    def mean(part: MeanLoss) -> Tensor:
        loss = part.mean(logits, batch.targets)
        if batch.mixed_targets is None:
            return loss
        return batch.mix * loss + (1 - batch.mix) * part.mean(logits, batch.mixed_targets)

    terms = as_mean(training.loss).terms
    parts = [mean(part) for _, part in terms]
    if len(parts) == 1:
        return parts[0], parts[0][None]
    stacked = torch.stack(parts)
    return (stacked * stacked.new_tensor([factor for factor, _ in terms])).sum(), stacked
