"""Losses between images N×C×H×W with values 0…1; each returns the mean over the batch."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from convnet.layers import structural_similarity
from convnet.registry import Probability
from convnet.targets import Loss
from convnet.training.losses import loss_for

Images = Float[Tensor, "N C H W"]


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
