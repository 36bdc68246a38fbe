"""Batch norms folded into the convolutions before them, for networks that are only evaluated."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


@torch.no_grad()
def fused(model: nn.Module, example: Tensor) -> nn.Module:
    """A copy of a network in which a convolution and the batch norm that reads it are one convolution.

    The outputs are the same up to rounding. On CPUs a network of many small layers gets about a third faster.

    Args:
        model: The network.
        example: An input N×C×H×W, with which the pairs are found and the copy is checked.

    Returns:
        The copy, in evaluation mode; without changes if its outputs would differ, as they do where a
        convolution's output is also read by a shortcut.
    """
    copied = copy.deepcopy(model).eval()
    with _pairs(copied) as pairs:
        expected = copied(example)
    names = {module: name for name, module in copied.named_modules()}
    for conv, norm in pairs:
        _replace(copied, names[conv], fuse_conv_bn_eval(conv, norm))
        _replace(copied, names[norm], nn.Identity())
    same = torch.allclose(copied(example), expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))
    return copied if same else copy.deepcopy(model).eval()


@contextmanager
def _pairs(model: nn.Module) -> Iterator[list[tuple[nn.Conv2d, nn.BatchNorm2d]]]:
    """A block in which the pairs of a convolution and the norm of its output are collected."""
    pairs: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []
    made: list[tuple[Tensor, nn.Conv2d]] = []  # the tensors are kept, so that none takes the place of another

    def remember(conv: nn.Module, _inputs: object, output: Tensor) -> None:
        assert isinstance(conv, nn.Conv2d)
        made.append((output, conv))

    def match(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(norm, nn.BatchNorm2d)
        pairs.extend((conv, norm) for output, conv in made if output is inputs[0])

    hooks = [m.register_forward_hook(remember) for m in model.modules() if isinstance(m, nn.Conv2d)]
    hooks += [m.register_forward_pre_hook(match) for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    try:
        yield pairs
    finally:
        for hook in hooks:
            hook.remove()


def _replace(model: nn.Module, name: str, new: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, new)
