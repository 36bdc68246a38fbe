"""Losses: functions of outputs and targets that return the mean over the batch."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from convnet.errors import RecipeError, in_one_line
from convnet.layers import structural_similarity
from convnet.mean_loss import MeanLoss, as_mean
from convnet.registry import Fraction, NonNegative, Positive, Probability, Registry
from convnet.targets import Loss, Weight
from convnet.types import IGNORED

Builder = Callable[..., Loss]
ClassWeights = tuple[Positive, ...] | None
Images = Float[Tensor, "N C H W"]
"""Values 0…1."""


def _builder_of(found: Any) -> Builder:
    """The builder of a user's loss: a class with its options, or a function of outputs and targets."""
    name = getattr(found, "__name__", type(found).__name__)

    def build(**options: Any) -> Loss:
        loss: Any = found(**options) if inspect.isclass(found) else found

        def checked(outputs: Tensor, targets: Tensor) -> Tensor:
            placed = loss.to(outputs.device) if isinstance(loss, nn.Module) else loss
            try:
                value = placed(outputs, targets)
            except Exception as error:  # a user's code may raise anything
                raise RecipeError(
                    f"loss '{name}' failed for outputs {tuple(outputs.shape)} and targets "
                    f"{tuple(targets.shape)}: {type(error).__name__}: {in_one_line(error)}"
                ) from error
            if not isinstance(value, Tensor) or value.dim():
                made = f"a tensor {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)
                raise RecipeError(f"loss '{name}' returned {made}; return the mean over the batch, a scalar")
            return value

        return checked

    return build


LOSSES: Registry[Builder, tuple[str, ...]] = Registry("loss", importable=True, adapt=_builder_of)
"""The facts of a loss are the names of the targets it applies to; a user's own loss has none."""

DICE_SMOOTHING = 1.0


def loss_for(name: str, *targets: str) -> Callable[[Builder], Builder]:
    """Decorator that registers a builder under `name` for targets of these kinds."""
    return LOSSES.register(name, targets)


@loss_for("cross-entropy", "class", "mask")
def cross_entropy(*, label_smoothing: Fraction = 0.0, class_weights: ClassWeights = None) -> Loss:
    """−log softmax(s)_y.

    Args:
        label_smoothing: The fraction of the target distribution that is spread evenly over all classes.
        class_weights: One per class; the mean is weighted by the weights of the targets.
    """

    def loss(logits: Float[Tensor, "N K *places"], targets: Int[Tensor, N * places]) -> Float[Tensor, ""]:
        weights = _weights(class_weights, logits)
        if targets.dim() == 1:
            return F.cross_entropy(logits, targets, weights, label_smoothing=label_smoothing)
        total = F.cross_entropy(
            logits, targets, weights, ignore_index=IGNORED, label_smoothing=label_smoothing, reduction="sum"
        )
        counted = targets[targets != IGNORED]
        return total / (max(1, len(counted)) if weights is None else weights[counted].sum().clamp_min(1e-12))

    return MeanLoss(loss, _counted(class_weights))


@loss_for("focal", "class", "mask")
def focal(*, gamma: NonNegative = 2.0, class_weights: ClassWeights = None) -> Loss:
    """−(1 − p_y)^γ log p_y, which gives well-classified samples less weight (Lin et al. 2017)."""

    def loss(logits: Float[Tensor, "N K *places"], targets: Int[Tensor, N * places]) -> Float[Tensor, ""]:
        counted = targets != IGNORED
        log_p = logits.log_softmax(1).gather(1, targets.clamp_min(0)[:, None])[:, 0]
        weights = _weights(class_weights, logits)
        share = counted.to(logits.dtype) if weights is None else weights[targets.clamp_min(0)] * counted
        # log_p may be slightly above 0; then the base would be negative and its power NaN.
        terms = -((1 - log_p.exp()).clamp_min(0) ** gamma) * log_p * share
        return terms.sum() / share.sum().clamp_min(1e-12)

    return MeanLoss(loss, _counted(class_weights))


@loss_for("dice", "mask")
def dice(*, class_weights: ClassWeights = None) -> Loss:
    """1 − (2 Σ p t + 1) / (Σ p + Σ t + 1) of each class and image, averaged (Milletari et al. 2016).

    p are softmax probabilities, t is 1 for the true class; the sums run over positions that have a class.
    Images without such a position do not count.
    """

    def loss(logits: Float[Tensor, "N K *places"], targets: Int[Tensor, N * places]) -> Float[Tensor, ""]:
        counted = (targets != IGNORED)[:, None]
        p = logits.softmax(1) * counted
        t = torch.zeros_like(p).scatter_(1, targets.clamp_min(0)[:, None], 1.0) * counted
        over = tuple(range(2, logits.dim()))
        overlap = (2 * (p * t).sum(over) + DICE_SMOOTHING) / (p.sum(over) + t.sum(over) + DICE_SMOOTHING)
        weights = _weights(class_weights, logits)
        each = 1 - overlap if weights is None else (1 - overlap) * weights / weights.mean()
        there = counted.flatten(1).any(1)
        return each.mean() if there.all() else (each.mean(1) * there).sum() / there.sum().clamp_min(1)

    def images(logits: Tensor, targets: Tensor) -> Tensor:
        return (targets != IGNORED).flatten(1).any(1).sum()

    return MeanLoss(loss, images)


@loss_for("cross-entropy-dice", "mask")
def cross_entropy_dice(*, dice_share: Probability = 0.5, class_weights: ClassWeights = None) -> Loss:
    """`dice_share` times the Dice loss, the rest cross-entropy."""
    pixels = as_mean(cross_entropy(class_weights=class_weights))
    regions = as_mean(dice(class_weights=class_weights))

    def loss(logits: Float[Tensor, "N K *places"], targets: Int[Tensor, N * places]) -> Float[Tensor, ""]:
        return (1 - dice_share) * pixels(logits, targets) + dice_share * regions(logits, targets)

    return MeanLoss(loss, pixels.weight, ((1 - dice_share, pixels), (dice_share, regions)))


@loss_for("hinge", "class")
def hinge(*, margin: Positive = 1.0) -> Loss:
    """The multiclass SVM loss Σ_{j≠y} max(0, s_j − s_y + margin) (Weston and Watkins 1999)."""

    def loss(logits: Float[Tensor, "N K"], targets: Int[Tensor, N]) -> Float[Tensor, ""]:
        right = logits.gather(1, targets[:, None])
        excess = (logits - right + margin).clamp_min(0)
        # The class itself contributes exactly the margin, which is not part of the sum.
        return (excess.sum(1) - margin).mean()

    return loss


@loss_for("binary-cross-entropy", "labels")
def binary_cross_entropy(*, label_weights: ClassWeights = None) -> Loss:
    """−t log σ(s) − (1 − t) log(1 − σ(s)), averaged over labels and samples.

    Args:
        label_weights: One per label; factors of the first term.
    """

    def loss(logits: Float[Tensor, "N K"], targets: Float[Tensor, "N K"]) -> Float[Tensor, ""]:
        weights = _weights(label_weights, logits, "label_weights")
        return F.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype), pos_weight=weights)

    return loss


@loss_for("squared-error", "class")
def squared_error() -> Loss:
    """The L2 loss Σ_k (s_k − t_k)² with the one-hot target t."""

    def loss(logits: Float[Tensor, "N K"], targets: Int[Tensor, N]) -> Float[Tensor, ""]:
        wanted = F.one_hot(targets, logits.shape[1]).to(logits.dtype)
        return (logits - wanted).square().sum(1).mean()

    return loss


@loss_for("perceptron", "class")
def perceptron() -> Loss:
    """Σ_k (y_k − d_k)·s_k with y = 1 where s > 0, else 0, and d one-hot (Rosenblatt 1958).

    Its gradient is (y − d)x: a step of gradient descent at rate α is w ← w + α(d − y)x.
    """

    def loss(logits: Float[Tensor, "N K"], targets: Int[Tensor, N]) -> Float[Tensor, ""]:
        wanted = F.one_hot(targets, logits.shape[1]).to(logits.dtype)
        fired = (logits > 0).to(logits.dtype)
        return ((fired - wanted) * logits).sum(1).mean()

    return loss


@loss_for("l1", "image")
def l1() -> Loss:
    """The mean of |y − t|; gives sharper images than L2 where several outputs are plausible."""
    return F.l1_loss


@loss_for("l2", "image")
def l2() -> Loss:
    """The mean of (y − t)²; its minimum has the highest PSNR."""
    return F.mse_loss


@loss_for("ssim", "image")
def ssim() -> Loss:
    """1 − SSIM (Wang et al. 2004)."""

    def loss(outputs: Images, targets: Images) -> Float[Tensor, ""]:
        return 1 - structural_similarity(outputs, targets).mean()

    return loss


@loss_for("l1-ssim", "image")
def l1_ssim(*, ssim_share: Probability = 0.84) -> Loss:
    """`ssim_share` times 1 − SSIM, the rest L1 (Zhao et al. 2017)."""

    def loss(outputs: Images, targets: Images) -> Float[Tensor, ""]:
        alike = structural_similarity(outputs, targets).mean()
        return ssim_share * (1 - alike) + (1 - ssim_share) * F.l1_loss(outputs, targets)

    return loss


def _counted(class_weights: ClassWeights) -> Weight:
    """The sum of the class weights of the targets, or the number of targets."""

    def weight(logits: Tensor, targets: Tensor) -> Tensor:
        counted = targets != IGNORED
        weights = _weights(class_weights, logits)
        return counted.sum() if weights is None else (weights[targets.clamp_min(0)] * counted).sum()

    return weight


def _weights(class_weights: ClassWeights, logits: Tensor, name: str = "class_weights") -> Tensor | None:
    """The class weights as a tensor on the device of the logits.

    Raises:
        RecipeError: Their number differs from the number of classes.
    """
    if class_weights is None:
        return None
    if len(class_weights) != logits.shape[1]:
        raise RecipeError(
            f"loss.{name} has {len(class_weights)} numbers for {logits.shape[1]} classes; give one per class"
        )
    return logits.new_tensor(class_weights)
