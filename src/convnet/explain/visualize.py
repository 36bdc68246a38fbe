"""Images by gradient ascent: what a channel or a class responds to, and dreams."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from convnet.errors import ModelError
from convnet.explain.capture import capture
from convnet.registry import nearest

STEPS = 128
RATE = 0.05
"""The step of Adam, in standard deviations of the input."""
JITTER = 1 / 12
"""The largest shift before every step, relative to the side."""
SMOOTHNESS = 0.02
"""The weight of the total variation."""
DECAY = 0.005
"""The weight of the squared values."""
OCTAVES = 4
OCTAVE_SCALE = 1.3
DREAM_STEPS = 12
DREAM_RATE = 0.06
"""The step of a dream, in standard deviations of the input, relative to the mean size of the gradient."""


@dataclass(frozen=True)
class Limits:
    """The smallest and largest value of normalized pixels, 1×C×1×1 or 1×C×H×W each."""

    low: Tensor
    high: Tensor

    def clamp(self, image: Tensor) -> Tensor:
        """The image with values inside the limits."""
        return torch.minimum(torch.maximum(image, self.low), self.high)


class _Reached(Exception):  # noqa: N818 (ends a forward pass early)
    """The layer has been computed; the rest of the network is not needed."""


def _activations(model: nn.Module, layer: str | None) -> Callable[[Tensor], Tensor]:
    """The output of a module for images; of the whole network if the layer is None."""
    if layer is None:
        return lambda images: model(images)
    parts = dict(model.named_modules())
    if layer not in parts:
        known = nearest(layer, [name for name in parts if name])
        raise ModelError(f"layer '{layer}' is no module{known}; choose a convolution or a block")
    seen: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        seen.append(output)
        raise _Reached

    def run(images: Tensor) -> Tensor:
        seen.clear()
        hook = parts[layer].register_forward_hook(keep)
        try:
            model(images)
        except _Reached:
            pass
        finally:
            hook.remove()
        return seen[0]

    return run


def _frozen(model: nn.Module) -> nn.Module:
    network = copy.deepcopy(model).eval()
    for part in network.modules():
        if getattr(part, "inplace", False):
            part.inplace = False  # type: ignore[assignment]
    return network.requires_grad_(False)


def visualize(
    model: nn.Module,
    shape: tuple[int, int, int],
    limits: Limits,
    channels: list[int],
    layer: str | None = None,
) -> Float[Tensor, "N C H W"]:
    """Images that excite channels of a layer, or classes, by gradient ascent (Simonyan et al. 2014).

    They start from noise. Shifts, total variation and weight decay keep them smooth (Mahendran and Vedaldi
    2016; Yosinski et al. 2015).

    Args:
        model: The network; unchanged.
        shape: C×H×W of its input.
        limits: The range of normalized pixels.
        channels: The channels, or the classes if there is no layer; one image each.
        layer: The name of a module. Default: the outputs of the network.

    Returns:
        Normalized images, one per channel.

    Raises:
        ModelError: The layer is no module, or has no such channel.
    """
    run = _activations(_frozen(model), layer)
    generator = torch.Generator().manual_seed(0)
    images = (0.1 * torch.randn(len(channels), *shape, generator=generator)).requires_grad_()
    optimizer = torch.optim.Adam([images], lr=RATE)
    reach = [max(1, round(side * JITTER)) if side > 1 else 0 for side in shape[1:]]
    chosen = torch.tensor(channels)
    for _ in range(STEPS):
        shift = [int(torch.randint(-r, r + 1, (), generator=generator)) for r in reach]
        found = run(images.roll(shift, (2, 3)))
        if max(channels) >= found.shape[1] or min(channels) < 0:
            raise ModelError(f"layer '{layer}' has {found.shape[1]} channels, 0 to {found.shape[1] - 1}")
        picked = found[torch.arange(len(channels)), chosen].reshape(len(channels), -1).mean(1)
        rough = (images.diff(dim=2).abs().flatten(1).mean(1) if shape[1] > 1 else 0.0) + (
            images.diff(dim=3).abs().flatten(1).mean(1) if shape[2] > 1 else 0.0
        )
        scale = picked.detach().abs().clamp_min(1.0)
        penalty = SMOOTHNESS * scale * rough + DECAY * images.square().flatten(1).sum(1)
        optimizer.zero_grad()
        (penalty - picked).sum().backward()
        optimizer.step()
        with torch.no_grad():
            images.copy_(limits.clamp(images))
    return images.detach()


def dream(
    model: nn.Module,
    image: Float[Tensor, "1 C H W"],
    limits: Limits,
    layer: str,
    channel: int | None = None,
    strength: float = 1.0,
) -> Float[Tensor, "1 C H W"]:
    """Amplify what a layer finds in an image by gradient ascent over octaves (Mordvintsev et al. 2015).

    Args:
        model: A network that takes images of any size; unchanged.
        image: A normalized image.
        limits: The range of normalized pixels.
        layer: The name of a module with maps.
        channel: One channel of the layer. Default: all.
        strength: The factor of the steps.

    Returns:
        The image, normalized.

    Raises:
        ModelError: The layer is no module or has no such channel, or the image is too small for the network.
    """
    run = _activations(_frozen(model), layer)
    sizes = _octaves((image.shape[2], image.shape[3]), run, image)
    generator = torch.Generator().manual_seed(0)
    detail = torch.zeros(1, image.shape[1], *sizes[0])
    for size in sizes:
        base = F.interpolate(image, size, mode="bilinear", antialias=True, align_corners=False)
        detail = F.interpolate(detail, size, mode="bilinear", align_corners=False)
        for _ in range(DREAM_STEPS):
            shift = [int(torch.randint(-8, 9, (), generator=generator)) for _ in range(2)]
            current = (base + detail).roll(shift, (2, 3)).requires_grad_()
            found = run(current)
            if channel is not None and not 0 <= channel < found.shape[1]:
                raise ModelError(f"layer '{layer}' has {found.shape[1]} channels, 0 to {found.shape[1] - 1}")
            goal = found if channel is None else found[:, channel]
            (gradient,) = torch.autograd.grad(goal.square().mean(), current)
            step = strength * DREAM_RATE * gradient / gradient.abs().mean().clamp_min(1e-12)
            changed = limits.clamp(current.detach() + step).roll([-s for s in shift], (2, 3))
            detail = changed - base
    return limits.clamp(image + detail)


def _octaves(size: tuple[int, int], run: Callable[[Tensor], Tensor], image: Tensor) -> list[tuple[int, int]]:
    """The sizes of the octaves, smallest first; those that the network cannot take are left out."""
    sizes = [
        (round(size[0] / OCTAVE_SCALE**n), round(size[1] / OCTAVE_SCALE**n)) for n in reversed(range(OCTAVES))
    ]
    fitting = []
    for candidate in sizes:
        try:
            with torch.no_grad():
                run(F.interpolate(image, candidate, mode="bilinear", align_corners=False))
        except (RuntimeError, ValueError, ModelError, IndexError):
            continue
        fitting.append(candidate)
    if not fitting or fitting[-1] != sizes[-1]:
        raise ModelError(
            f"the network does not take images of {size[1]}×{size[0]} pixels up to this layer; choose an "
            "earlier layer"
        )
    return fitting


def layer_names(model: nn.Module, image: Tensor) -> list[str]:
    """The modules of a network that have maps with several positions, for messages and choices."""
    parts = dict(model.named_modules())
    return [op.name for op in capture(model, image).maps if op.name in parts and max(op.output.shape[2:]) > 1]
