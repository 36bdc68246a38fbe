"""Losses (M41): logits N×K and class indices N → the mean over the batch."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from convnet.registry import Registry
from convnet.schema import Fraction, Positive

Loss = Callable[[Tensor, Tensor], Tensor]

LOSSES: Registry[Callable[..., Loss]] = Registry("loss")


@LOSSES.register("cross-entropy")
def cross_entropy(*, label_smoothing: Fraction = 0.0) -> Loss:
    """−log softmax(s)_y; smoothing ε moves that share of the target evenly onto all classes."""

    def loss(logits: Float[Tensor, "N K"], targets: Int[Tensor, N]) -> Float[Tensor, ""]:
        return F.cross_entropy(logits, targets, label_smoothing=label_smoothing)

    return loss


@LOSSES.register("hinge")
def hinge(*, margin: Positive = 1.0) -> Loss:
    """The multiclass SVM loss Σ_{j≠y} max(0, s_j − s_y + margin) (M02; Weston and Watkins 1999)."""

    def loss(logits: Float[Tensor, "N K"], targets: Int[Tensor, N]) -> Float[Tensor, ""]:
        right = logits.gather(1, targets[:, None])
        excess = (logits - right + margin).clamp_min(0)
        # The class itself contributes exactly the margin, which is not part of the sum.
        return (excess.sum(1) - margin).mean()

    return loss


@LOSSES.register("squared-error")
def squared_error() -> Loss:
    """Σ_k (s_k − t_k)² against the one-hot target t: the L2 loss (M41)."""

    def loss(logits: Float[Tensor, "N K"], targets: Int[Tensor, N]) -> Float[Tensor, ""]:
        wanted = F.one_hot(targets, logits.shape[1]).to(logits.dtype)
        return (logits - wanted).square().sum(1).mean()

    return loss


@LOSSES.register("perceptron")
def perceptron() -> Loss:
    """Σ_k (y_k − d_k)·s_k with y = 1 where s > 0, else 0, and d one-hot (M03; Rosenblatt 1958).

    Its gradient is (y − d)x: a step of gradient descent at rate α is w ← w + α(d − y)x.
    """

    def loss(logits: Float[Tensor, "N K"], targets: Int[Tensor, N]) -> Float[Tensor, ""]:
        wanted = F.one_hot(targets, logits.shape[1]).to(logits.dtype)
        fired = (logits > 0).to(logits.dtype)
        return ((fired - wanted) * logits).sum(1).mean()

    return loss
