"""Temporal convolutional networks: dilated convolutions over series of any length."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from convnet.layers import Conv1d, Dropout, initialize
from convnet.layers.init import InitName
from convnet.models.registry import Facts, network
from convnet.registry import Count, Fraction
from convnet.types import ImageShape

Valid = Tensor | None


class MaskedNorm(nn.BatchNorm1d):
    """Batch norm N×C×L over valid steps only; steps after the end of a series stay 0."""

    def forward(self, x: Tensor, valid: Valid = None) -> Tensor:
        """N×C×L, and a mask of valid steps N×L (None for all)."""
        if valid is None:
            return super().forward(x)
        if not self.training:  # the statistics are fixed
            normalized: Tensor = super().forward(x)
            return normalized * valid[:, None]
        normed = super().forward(x.transpose(1, 2)[valid])
        out = torch.zeros_like(x.transpose(1, 2), dtype=normed.dtype).masked_scatter(
            valid[:, :, None], normed
        )
        return out.transpose(1, 2)


class TemporalBlock(nn.Module):
    """A residual block of two dilated convolutions with norms (Bai et al. 2018)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        dilation: int,
        padding: str,
        dropout: float,
    ) -> None:
        super().__init__()
        self.conv1 = Conv1d(
            in_channels, out_channels, kernel_size, padding=padding, dilation=dilation, bias=False
        )
        self.norm1 = MaskedNorm(out_channels)
        self.conv2 = Conv1d(
            out_channels, out_channels, kernel_size, padding=padding, dilation=dilation, bias=False
        )
        self.norm2 = MaskedNorm(out_channels)
        self.relu, self.dropout = nn.ReLU(), Dropout(dropout)
        same = in_channels == out_channels
        self.downsample = nn.Identity() if same else nn.Conv1d(in_channels, out_channels, 1)

    def forward(self, x: Tensor, valid: Valid = None) -> Tensor:
        """N×C×L → N×D×L."""
        inner = self.dropout(self.relu(self.norm1(self.conv1(x), valid)))
        out: Tensor = self.relu(self.downsample(x) + self.norm2(self.conv2(inner), valid))
        return out if valid is None else out * valid[:, None]


class Temporal(nn.Module):
    """Residual blocks over time, logits at each step, and their mean over valid steps."""

    def __init__(self, blocks: list[TemporalBlock], channels: int, num_classes: int, per_step: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.classifier = nn.Conv1d(channels, num_classes, 1)
        self.per_step = per_step

    def forward_features(self, series: Tensor) -> Tensor:
        """N×C×H×L → N×D×L."""
        return self.features(series)[0]

    def features(self, series: Tensor) -> tuple[Tensor, Valid]:
        """N×C×H×L, NaN after the end → N×D×L, and a mask of valid steps N×L (None for all)."""
        x, valid = series.flatten(1, 2), None
        missing = None if x.is_meta else x.isnan().any(1)
        if missing is not None and (torch.compiler.is_exporting() or bool(missing.any())):
            valid = ~missing
            x = x.masked_fill(missing[:, None], 0)
        for block in self.blocks:
            x = block(x, valid)
        return x, valid

    def embed(self, series: Tensor) -> Tensor:
        """N×C×H×L → N×D, the mean of the features over time."""
        return _mean(*self.features(series))

    def steps(self, series: Tensor) -> tuple[Tensor, Valid]:
        """N×C×H×L → logits of each step N×K×L, and a mask of valid steps."""
        x, valid = self.features(series)
        return self.classifier(x), valid

    def forward(self, series: Tensor) -> Tensor:
        """N×C×H×L → logits N×K, or N×K×1×L per step."""
        evidence, valid = self.steps(series)
        if self.per_step:
            return evidence[:, :, None]
        return _mean(evidence, valid)


def _mean(x: Tensor, valid: Valid) -> Tensor:
    """The mean over valid steps, N×D×L → N×D."""
    if valid is None:
        return x.mean(2)
    return (x * valid[:, None]).sum(2) / valid.sum(1, keepdim=True)


@network(
    "temporal",
    Facts(
        native=ImageShape(1, 1, 96),
        num_classes=2,
        smallest=1,
        parameters=144_962,
        source="Bai et al. 2018",
        targets=("class", "mask"),
        any_length=True,
    ),
)
def temporal(
    in_channels: int,
    num_classes: int,
    image_size: tuple[int, int],
    *,
    width: Count = 64,
    depth: Count = 4,
    kernel_size: Count = 5,
    growth: Count = 2,
    causal: bool = False,
    per_step: bool = False,
    dropout: Fraction = 0.1,
    init: InitName = "he",
) -> nn.Module:
    """Residual blocks of dilated convolutions in time, for series N×C×1×L of any length; padding is masked.

    The logits are the mean of the logits of all steps. Each column of an image is a step.

    Args:
        in_channels: Channels of the series.
        num_classes: The number of classes.
        image_size: Height and width; the height is 1 for series.
        width: Channels of the blocks.
        depth: The number of blocks.
        kernel_size: The length of the kernels.
        growth: Block i has the dilation growth^i, so that the receptive field grows exponentially.
        causal: Whether outputs depend on earlier steps only.
        per_step: Whether to return the logits of every step.
        dropout: The probability of dropout.
        init: The initializer.
    """
    channels = in_channels * image_size[0]
    padding = "causal" if causal else "same"
    widths = [channels, *[width] * depth]
    blocks = [
        TemporalBlock(before, after, kernel_size, growth**i, padding, dropout)
        for i, (before, after) in enumerate(pairwise(widths))
    ]
    return initialize(Temporal(blocks, width, num_classes, per_step), init)
