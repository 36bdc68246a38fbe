"""Layers that are fitted by passes over the training samples instead of by gradients."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from convnet.errors import ModelError

Passes = Callable[[], Iterable[tuple[Tensor, Tensor]]]
"""Each call is one pass over some samples: batches of the layer's inputs N×… and targets N."""

MIN_DEVIATION = 1e-6


class Fitted(nn.Module, ABC):
    """A layer whose buffers are set by `fit` before any gradient step.

    Attributes:
        fitted_state: The names of these buffers; their sizes depend on the samples, and a `state_dict`
            restores them.
    """

    fitted_state: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        for name in self.fitted_state:
            self.register_buffer(name, torch.empty(0))
        self.register_load_state_dict_pre_hook(_take_sizes)  # type: ignore[no-untyped-call]

    @abstractmethod
    def fit(self, train: Passes, val: Passes | None) -> None:
        """Fit the layer.

        Args:
            train: Passes over the training samples.
            val: Passes over the validation samples, for the choice of settings; None if there are none.
        """

    def require_samples(self, train: int, val: int) -> None:
        """Check, before fitting, that there are enough samples.

        Raises:
            ModelError: There are too few; the message says how many are needed.
        """

    def require_fitted(self) -> None:
        """Check that the layer is fitted.

        Raises:
            ModelError: `fit` was not called, and no state was loaded.
        """
        if any(not getattr(self, name).numel() for name in self.fitted_state):
            raise ModelError(f"{type(self).__name__} is not fitted; call fit first")


def _take_sizes(module: nn.Module, state: dict[str, Any], prefix: str, *_: object) -> None:
    """Resize the buffers to the loaded state."""
    assert isinstance(module, Fitted)
    for name in module.fitted_state:
        if (value := state.get(prefix + name)) is not None:
            setattr(module, name, torch.empty_like(value, device=getattr(module, name).device))


class Standardize(Fitted):
    """(x − mean) · scale, element by element, for inputs N×D×1×1 or any N×….

    The scale is the inverse standard deviation over the training samples; 0 for constant elements.
    """

    fitted_state = ("mean", "scale")
    mean: Tensor
    scale: Tensor

    @torch.no_grad()
    def fit(self, train: Passes, val: Passes | None) -> None:
        """Compute mean and scale with sums in float64."""
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
