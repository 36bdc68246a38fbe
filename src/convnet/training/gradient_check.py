"""Gradient check: compare autograd with numerical gradients, for custom layers."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class GradientCheck:
    """The result of a gradient check.

    Attributes:
        errors: The largest relative error per tensor ("input 0", "weight", …).
        tolerance: The largest error that passes.
    """

    errors: dict[str, float]
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether every gradient is within the tolerance."""
        return all(error <= self.tolerance for error in self.errors.values())

    def __str__(self) -> str:
        width = max(map(len, self.errors), default=0)
        rows = [
            f"{name:<{width}}  {error:.1e}  {'ok' if error <= self.tolerance else 'WRONG'}"
            for name, error in self.errors.items()
        ]
        return "\n".join([*rows, f"gradient check {'passed' if self.passed else 'FAILED'}"])


def check_gradients(
    module: nn.Module | Callable[..., Tensor],
    inputs: Tensor | tuple[Tensor, ...],
    *,
    step: float = 1e-6,
    tolerance: float = 1e-4,
    max_entries: int = 50,
    seed: int = 0,
) -> GradientCheck:
    """Compare autograd with the central difference (f(x + h) − f(x − h)) / 2h, in float64.

    The output is reduced to a scalar by fixed random weights. The relative error of an entry is
    |analytic − numerical| / max(|analytic|, |numerical|, floor), where the floor is 1e-3 of the largest
    gradient of its tensor. A gradient that is not finite fails. The module is copied; random draws in its
    forward pass (dropout) are repeated from the seed.

    Args:
        module: A module or a function of tensors.
        inputs: Its inputs; floating-point inputs are checked.
        step: The step h.
        tolerance: The largest relative error that passes.
        max_entries: The number of random entries that are checked per input and parameter.
        seed: The seed of the weights, the entries and the module's own draws.

    Returns:
        The errors per tensor; print it for a table.

    Raises:
        ValueError: There is no floating-point input or trainable parameter.
    """
    if isinstance(module, nn.Module):
        module = copy.deepcopy(module).double()
        for parameter in module.parameters():
            parameter.data = parameter.data.contiguous()
    given = (inputs,) if isinstance(inputs, Tensor) else inputs
    arguments = [
        x.detach().double().clone(memory_format=torch.contiguous_format).requires_grad_()
        if x.is_floating_point()
        else x
        for x in given
    ]
    tensors = {f"input {i}": x for i, x in enumerate(arguments) if x.requires_grad}
    if isinstance(module, nn.Module):
        tensors |= {name: p for name, p in module.named_parameters() if p.requires_grad}
    if not tensors:
        raise ValueError("nothing to differentiate: no floating-point input and no trainable parameter")
    generator = torch.Generator().manual_seed(seed)

    def run() -> Tensor:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return module(*(x.clone() for x in arguments))  # a layer may work in place

    weights = torch.randn(run().shape, generator=generator, dtype=torch.float64)
    analytic = torch.autograd.grad((run() * weights).sum(), list(tensors.values()), allow_unused=True)
    errors = {}
    for (name, tensor), gradient in zip(tensors.items(), analytic, strict=True):
        flat = tensor.detach().view(-1)
        expected = torch.zeros_like(flat) if gradient is None else gradient.reshape(-1)
        chosen = torch.randperm(flat.numel(), generator=generator)[:max_entries]
        numerical = [_difference(run, weights, flat, i, step) for i in chosen.tolist()]
        errors[name] = _largest_error(expected[chosen], torch.tensor(numerical, dtype=torch.float64))
    return GradientCheck(errors, tolerance)


@torch.no_grad()
def _difference(run: Callable[[], Tensor], weights: Tensor, flat: Tensor, i: int, step: float) -> float:
    original = flat[i].item()
    values = []
    for sign in (1, -1):
        flat[i] = original + sign * step
        values.append((run() * weights).sum().item())
    flat[i] = original
    return float((values[0] - values[1]) / (2 * step))


def _largest_error(analytic: Tensor, numerical: Tensor) -> float:
    """The largest relative error of some entries of a tensor; infinite if a gradient is not finite."""
    sizes = torch.maximum(analytic.abs(), numerical.abs())
    if not sizes.isfinite().all():
        return float("inf")
    if not sizes.numel() or sizes.max() == 0:
        return 0.0
    floor = 1e-3 * sizes.max()
    return ((analytic - numerical).abs() / sizes.clamp_min(floor.item())).max().item()
