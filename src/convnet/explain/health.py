"""The state of the layers of a network on a batch: dead ReLUs and the size of gradients."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

RELUS = (nn.ReLU, nn.ReLU6)


@dataclass(frozen=True)
class LayerHealth:
    """The state of a layer on a batch.

    Attributes:
        name: The name of the layer.
        dead: The fraction of the channels of a ReLU that are zero for all samples; None for other layers.
        gradient: The root mean square of the gradient of its weights, relative to that of the weights; None
            for layers without trainable weights.
    """

    name: str
    dead: float | None = None
    gradient: float | None = None


def layer_health(
    model: nn.Module, images: Tensor, targets: Tensor, loss: Callable[[Tensor, Tensor], Tensor]
) -> list[LayerHealth]:
    """Run a batch forward and backward and measure every layer.

    Args:
        model: The network; unchanged, run in evaluation mode.
        images: Its inputs.
        targets: Their targets.
        loss: The loss of the outputs.

    Returns:
        One entry per ReLU and per layer with trainable weights, in the order of the modules.
    """
    network = copy.deepcopy(model).eval()
    alive: dict[str, Tensor] = {}
    for name, part in network.named_modules():
        if isinstance(part, RELUS):
            part.inplace = False
            part.register_forward_hook(_remember(alive, name))
    loss(network(images), targets).backward()
    found = []
    for name, part in network.named_modules():
        if name in alive:
            found.append(LayerHealth(name, dead=1 - float(alive[name].double().mean())))
        weight = getattr(part, "weight", None)
        if isinstance(weight, nn.Parameter) and weight.grad is not None and weight.dim() > 1:
            size = float(weight.detach().square().mean().sqrt())
            slope = float(weight.grad.square().mean().sqrt())
            found.append(LayerHealth(name, gradient=slope / max(size, 1e-12)))
    return found


def _remember(alive: dict[str, Tensor], name: str) -> Callable[..., None]:
    """A hook that notes which channels are ever positive; a module that runs twice counts if it ever is."""

    def hook(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        positive = (output.detach() > 0).transpose(0, 1).flatten(1).any(1)
        before = alive.get(name)
        same = before is not None and before.shape == positive.shape
        alive[name] = before | positive if before is not None and same else positive

    return hook
