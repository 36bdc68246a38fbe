"""Initialization of weights: Xavier, He ("Xavier/2") and torch's default."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from torch import Tensor, nn

from convnet.registry import Registry

InitName = Literal["he", "xavier", "torch"]

INITIALIZERS: Registry[Callable[[Tensor], object], Any] = Registry("initialization")


@INITIALIZERS.register("xavier")
def xavier(weight: Tensor) -> object:
    """Uniform with variance 2/(fan_in + fan_out) (Glorot and Bengio 2010)."""
    return nn.init.xavier_uniform_(weight)


@INITIALIZERS.register("he")
def he(weight: Tensor) -> object:
    """Normal with variance 2/fan_in, for ReLU (He et al. 2015)."""
    return nn.init.kaiming_normal_(weight, nonlinearity="relu")


@INITIALIZERS.register("torch")
def torch_default(weight: Tensor) -> object:
    """Uniform in ±1/sqrt(fan_in), the default of torch's layers."""
    return nn.init.kaiming_uniform_(weight, a=5**0.5)


def initialize(module: nn.Module, name: InitName) -> nn.Module:
    """Initialize every weight of two or more dimensions and set biases to zero.

    Norms keep their scale of 1 and shift of 0. Parameters on the meta device are skipped.

    Args:
        module: The module; changed in place.
        name: The initializer.

    Returns:
        The module.
    """
    fill = INITIALIZERS[name]
    for key, parameter in module.named_parameters():
        if parameter.is_meta:
            continue
        if parameter.dim() >= 2:
            fill(parameter)
        elif key.endswith("bias"):
            nn.init.zeros_(parameter)
    return module
