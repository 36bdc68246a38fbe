"""Layers that learn from passes over the training samples instead of from gradients."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from convnet.errors import ModelError

Passes = Callable[[], Iterable[tuple[Tensor, Tensor]]]
"""Each call goes once over some samples: batches of inputs N×…, as the layer receives them, and targets N."""

MIN_DEVIATION = 1e-6


class Fitted(nn.Module, ABC):
    """A layer whose buffers are learnt by `fit`, once, before any gradient step.

    The buffers named in `fitted_state` take whatever size the samples give them; a `state_dict` restores
    them.
    """

    fitted_state: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        for name in self.fitted_state:
            self.register_buffer(name, torch.empty(0))
        self.register_load_state_dict_pre_hook(_take_sizes)  # type: ignore[no-untyped-call]

    @abstractmethod
    def fit(self, train: Passes, val: Passes | None) -> None:
        """Learn from the training samples; `val` is for choosing between settings, None without any."""

    def require_samples(self, train: int, val: int) -> None:
        """Refuse, before anything is learnt, what so many training and validation samples are too few for.

        Raises:
            ModelError: saying how many are needed.
        """

    def require_fitted(self) -> None:
        """Refuse to guess.

        Raises:
            ModelError: `fit` was not called, nothing was loaded.
        """
        if any(not getattr(self, name).numel() for name in self.fitted_state):
            raise ModelError(f"{type(self).__name__} has not learnt anything yet; call fit first")


def _take_sizes(module: nn.Module, state: dict[str, Any], prefix: str, *_: object) -> None:
    """Make room for what was learnt, of the size and type that it had."""
    assert isinstance(module, Fitted)
    for name in module.fitted_state:
        if (value := state.get(prefix + name)) is not None:
            setattr(module, name, torch.empty_like(value, device=getattr(module, name).device))


class Standardize(Fitted):
    """(x − mean) · scale of every number by itself: N×D×1×1, or any N×….

    The scale is one over the deviation over the training samples; 0 for a number that never changes.
    """

    fitted_state = ("mean", "scale")
    mean: Tensor
    scale: Tensor

    @torch.no_grad()
    def fit(self, train: Passes, val: Passes | None) -> None:
        """Sums in float64, so that the size of the set costs no precision."""
        count, device = 0, self.mean.device
        total = squares = torch.zeros((), dtype=torch.float64)
        for x, _ in train():
            values, device = x.cpu().double(), x.device  # not every device has float64
            count += len(x)
            total = total + values.sum(0, keepdim=True)
            squares = squares + values.square().sum(0, keepdim=True)
        mean = total / count
        variance = (squares / count - mean.square()).clamp_min(0)
        deviation = variance.sqrt()
        constant = deviation <= MIN_DEVIATION * mean.abs().clamp_min(MIN_DEVIATION)
        scale = deviation.reciprocal().masked_fill(constant, 0)
        self.mean, self.scale = mean.float().to(device), scale.float().to(device)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out, float32."""
        self.require_fitted()
        return (x - self.mean) * self.scale
