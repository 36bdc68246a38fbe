"""Around an error of torch's bf16 convolutions on the CPU (seen in 2.13), on maps of one column."""

from __future__ import annotations

from typing import Any

from torch import nn


def guard_narrow_convolutions(model: nn.Module) -> None:
    """Let every padded, strided 2-D convolution of `model` step by one along maps of a single column.

    There, the gradient of a bf16 kernel takes what lies in uninitialised memory for the taps that only meet
    padding. With one column before and behind the layer, its stride along it means nothing, and with a stride
    of 1 the gradient is right. A network with four halvings meets such maps in images below 32 pixels.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and _keeps_one_column(module):
            module.register_forward_pre_hook(_StrideOfOne(module.stride))


def _keeps_one_column(layer: nn.Conv2d) -> bool:
    """Whether it is strided and makes one column of one, by padding with zeros."""
    if isinstance(layer.padding, str) or layer.padding_mode != "zeros":
        return False
    covers = layer.dilation[1] * (layer.kernel_size[1] - 1)
    return layer.stride[1] > 1 and 0 < covers == 2 * layer.padding[1]


class _StrideOfOne:
    """A hook that chooses the stride by the width of the input, anew for each."""

    def __init__(self, stride: tuple[int, ...]) -> None:
        self.stride = stride

    def __call__(self, layer: nn.Module, arguments: tuple[Any, ...]) -> None:
        assert isinstance(layer, nn.Conv2d)
        layer.stride = (self.stride[0], 1) if arguments[0].shape[-1] == 1 else self.stride[:2]
