"""Activation functions: sigmoid, tanh, ReLU, leaky ReLU, maxout, ELU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor, nn

from convnet.registry import Registry

ActivationName = Literal["identity", "relu", "leaky-relu", "elu", "sigmoid", "tanh", "maxout"]

ACTIVATIONS: Registry[Callable[..., nn.Module], Any] = Registry("activation")

MAXOUT_PIECES = 2


class Maxout(nn.Module):
    """max(z_1, …, z_k) over k linear pieces: N×kC×… → N×C×… (Goodfellow et al. 2013).

    The layer before it needs k times the channels; piece j of channel c is channel j·C + c.
    """

    def __init__(self, pieces: int = MAXOUT_PIECES) -> None:
        super().__init__()
        self.pieces = pieces

    def forward(self, x: Float[Tensor, "N KC *space"]) -> Float[Tensor, "N C *space"]:
        """The maximum over the pieces."""
        pieces: Tensor = x.unflatten(1, (self.pieces, -1))
        return pieces.amax(dim=1)

    def extra_repr(self) -> str:
        """Shown by `print(module)`."""
        return f"pieces={self.pieces}"


@ACTIVATIONS.register("identity")
def identity() -> nn.Module:
    """x: no activation, so that adjacent layers form one linear map."""
    return nn.Identity()


@ACTIVATIONS.register("relu")
def relu() -> nn.Module:
    """max(0, x)."""
    return nn.ReLU(inplace=True)


@ACTIVATIONS.register("leaky-relu")
def leaky_relu(*, slope: float = 0.1) -> nn.Module:
    """max(0.1 x, x); the slope is the lectures' 0.1, not torch's 0.01."""
    return nn.LeakyReLU(slope)


@ACTIVATIONS.register("elu")
def elu(*, alpha: float = 1.0) -> nn.Module:
    """x where x > 0, else α(eˣ − 1)."""
    return nn.ELU(alpha)


@ACTIVATIONS.register("sigmoid")
def sigmoid() -> nn.Module:
    """1 / (1 + e⁻ˣ)."""
    return nn.Sigmoid()


@ACTIVATIONS.register("tanh")
def tanh() -> nn.Module:
    """Hyperbolic tangent."""
    return nn.Tanh()


@ACTIVATIONS.register("maxout")
def maxout() -> nn.Module:
    """The larger of two linear pieces; see `widening`."""
    return Maxout()


def make_activation(name: str) -> nn.Module:
    """The activation called `name`, with its default options."""
    module: nn.Module = ACTIVATIONS.build(name)
    return module


def widening(name: str) -> int:
    """The factor of the channels that the layer before the activation needs: 2 for maxout, else 1."""
    return MAXOUT_PIECES if name == "maxout" else 1
