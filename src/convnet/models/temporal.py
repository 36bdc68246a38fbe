"""Convolutions in time (M34): dilated, causal or not, over series of any length."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from convnet.layers import Conv1d, Dropout, initialize
from convnet.layers.init import InitName
from convnet.models.registry import network
from convnet.registry import Count, Fraction

Valid = Tensor | None


class MaskedNorm(nn.BatchNorm1d):
    """Batch norm N×C×L over the steps that series have; those behind their ends stay out of it, and 0."""

    def forward(self, x: Tensor, valid: Valid = None) -> Tensor:
        """N×C×L, and which steps are there, N×L; None: all."""
        if valid is None:
            return super().forward(x)
        normed = super().forward(x.transpose(1, 2)[valid])
        out = torch.zeros_like(x.transpose(1, 2), dtype=normed.dtype).masked_scatter(
            valid[:, :, None], normed
        )
        return out.transpose(1, 2)


class TemporalBlock(nn.Module):
    """Two dilated convolutions with norms, added to what came in (Bai et al. 2018)."""

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
    """Blocks over time, the evidence for each class at each step, and its mean over the steps there are."""

    def __init__(self, blocks: list[TemporalBlock], channels: int, num_classes: int, per_step: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.classifier = nn.Conv1d(channels, num_classes, 1)
        self.per_step = per_step

    def forward_features(self, series: Tensor) -> Tensor:
        """N×C×H×L → N×D×L."""
        return self.features(series)[0]

    def features(self, series: Tensor) -> tuple[Tensor, Valid]:
        """N×C×H×L, NaN behind the ends → N×D×L, and which steps are there, N×L; None: all."""
        x, valid = series.flatten(1, 2), None
        if not x.is_meta and (missing := x.isnan().any(1)).any():
            valid = ~missing
            x = x.masked_fill(missing[:, None], 0)
        for block in self.blocks:
            x = block(x, valid)
        return x, valid

    def embed(self, series: Tensor) -> Tensor:
        """N×C×H×L → N×D: what the series is represented by, the mean of its features over time."""
        return _mean(*self.features(series))

    def steps(self, series: Tensor) -> tuple[Tensor, Valid]:
        """N×C×H×L → evidence N×K×L for each class at each step, and which steps are there."""
        x, valid = self.features(series)
        return self.classifier(x), valid

    def forward(self, series: Tensor) -> Tensor:
        """N×C×H×L → logits N×K, or N×K×1×L per step."""
        evidence, valid = self.steps(series)
        if self.per_step:
            return evidence[:, :, None]
        return _mean(evidence, valid)


def _mean(x: Tensor, valid: Valid) -> Tensor:
    """Over the steps that are there: N×D×L → N×D."""
    if valid is None:
        return x.mean(2)
    return (x * valid[:, None]).sum(2) / valid.sum(1, keepdim=True)


@network(
    "temporal",
    native=(1, 1, 96),
    num_classes=2,
    smallest=1,
    parameters=144_962,
    source="Bai et al. 2018",
    targets=("class", "mask"),
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
    """Dilated convolutions in time with residual blocks; series of any length, padded ones masked (M34).

    Block i of `depth` has dilation `growth`^i, so that the receptive field grows exponentially; `causal`
    convolutions see no later step. The logits are the mean of the evidence at every step, which `per_step`
    returns instead. Series are N×C×1×L; of an image every column is a step.
    """
    channels = in_channels * image_size[0]
    padding = "causal" if causal else "same"
    widths = [channels, *[width] * depth]
    blocks = [
        TemporalBlock(before, after, kernel_size, growth**i, padding, dropout)
        for i, (before, after) in enumerate(pairwise(widths))
    ]
    return initialize(Temporal(blocks, width, num_classes, per_step), init)
