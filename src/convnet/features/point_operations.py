"""Point operations (M20): every pixel is changed by itself, 0…255 in and out."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from convnet.registry import Registry

PointOperation = Callable[[Tensor], Tensor]

POINT_OPERATIONS: Registry[PointOperation] = Registry("point operation")


@POINT_OPERATIONS.register("darken")
def darken(x: Tensor) -> Tensor:
    """x − 128."""
    return x - 128


@POINT_OPERATIONS.register("lower-contrast")
def lower_contrast(x: Tensor) -> Tensor:
    """x/2."""
    return x / 2


@POINT_OPERATIONS.register("lower-contrast-nonlinear")
def lower_contrast_nonlinear(x: Tensor) -> Tensor:
    """(x/255)^(1/3) · 255."""
    return (x / 255).pow(1 / 3) * 255


@POINT_OPERATIONS.register("invert")
def invert(x: Tensor) -> Tensor:
    """255 − x."""
    return 255 - x


@POINT_OPERATIONS.register("lighten")
def lighten(x: Tensor) -> Tensor:
    """x + 128."""
    return x + 128


@POINT_OPERATIONS.register("raise-contrast")
def raise_contrast(x: Tensor) -> Tensor:
    """2x."""
    return 2 * x


@POINT_OPERATIONS.register("raise-contrast-nonlinear")
def raise_contrast_nonlinear(x: Tensor) -> Tensor:
    """(x/255)² · 255."""
    return (x / 255).square() * 255
