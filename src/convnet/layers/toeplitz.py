"""Convolution as a sparse linear layer."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

Sides = int | tuple[int, int]


def toeplitz_matrix(
    kernel: Float[Tensor, "*channels K L"],
    image_shape: tuple[int, int, int],
    *,
    stride: Sides = 1,
    padding: Sides = 0,
    dilation: Sides = 1,
    groups: int = 1,
) -> Float[Tensor, "DIJ CHW"]:
    """The sparse matrix T with `conv2d(x, kernel).flatten() == T @ x.flatten()`, in COO format.

    Every row holds one shifted kernel and is zero elsewhere (doubly block Toeplitz); a fully connected layer
    would have D·H'·W' × C·H·W weights.

    Args:
        kernel: D×C/groups×K×L, or K×L for one channel.
        image_shape: C, H, W.
        stride: The stride.
        padding: Zeros on every side.
        dilation: The dilation.
        groups: Groups of channels.

    Raises:
        ValueError: The kernel does not fit the channels.
    """
    kernel = kernel if kernel.dim() == 4 else kernel[None, None]
    out_channels, group_channels = kernel.shape[:2]
    if group_channels * groups != image_shape[0] or out_channels % groups:
        raise ValueError(
            f"a kernel of {tuple(kernel.shape)} in {groups} groups does not fit {image_shape[0]} channels"
        )
    # Input pixels are numbered from 1, so the unfolded patches hold column numbers.
    numbers = torch.arange(1, image_shape[0] * image_shape[1] * image_shape[2] + 1, dtype=torch.float64)
    patches = F.unfold(
        numbers.view(1, *image_shape), kernel.shape[2:], dilation=dilation, padding=padding, stride=stride
    )[0].long()
    places = patches.shape[1]
    of_group = patches.view(groups, -1, places)[torch.arange(out_channels) * groups // out_channels]
    rows = torch.arange(out_channels * places).view(out_channels, 1, places).expand_as(of_group)
    values = kernel.flatten(1).unsqueeze(2).expand_as(of_group)
    real = of_group > 0  # 0 is the padding
    entries = torch.stack([rows[real], of_group[real] - 1])
    return torch.sparse_coo_tensor(
        entries, values[real], (out_channels * places, len(numbers)), check_invariants=True
    ).coalesce()
