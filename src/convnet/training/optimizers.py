"""Optimizers with their standard parameters, fused where torch has a fused kernel."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from torch import nn, optim

from convnet.errors import RecipeError, in_one_line
from convnet.layers import Classifier
from convnet.registry import Fraction, NonNegative, Positive, Registry

Groups = list[dict[str, Any]]


def _builder_of(found: Callable[..., Any]) -> Callable[..., optim.Optimizer]:
    """The builder of a user's optimizer: a class or a function of parameter groups and options."""
    name = getattr(found, "__name__", type(found).__name__)

    def build(groups: Groups, **options: Any) -> optim.Optimizer:
        try:
            made = found(groups, **options)
        except Exception as error:  # a user's code may raise anything
            raise RecipeError(
                f"optimizer '{name}' failed to build: {type(error).__name__}: {in_one_line(error)}"
            ) from error
        if not isinstance(made, optim.Optimizer):
            raise RecipeError(
                f"optimizer '{name}' returned {type(made).__name__}; return a torch.optim.Optimizer"
            )
        closure = inspect.signature(made.step).parameters.get("closure")
        if closure is not None and closure.default is inspect.Parameter.empty:
            raise RecipeError(
                f"optimizer '{name}' computes the loss itself (its step needs a closure), which is not "
                "supported; use one that takes a step from the gradients"
            )
        return made

    return build


OPTIMIZERS: Registry[Callable[..., optim.Optimizer], Any] = Registry(
    "optimizer", importable=True, adapt=_builder_of
)


def parameter_groups(
    model: nn.Module, *, decay_all: bool, lr: float = 0.0, factors: Mapping[int, float] | None = None
) -> Groups:
    """Divide the trainable parameters into groups for an optimizer.

    Parameters of fewer than two dimensions (biases, norms) form groups without weight decay.

    Args:
        model: The model.
        decay_all: Whether weight decay also acts on biases and norms.
        lr: The learning rate, if there are `factors`.
        factors: Factors of the learning rate by id of the parameter; the largest come first.

    Returns:
        The parameter groups.
    """
    trainable = [p for p in model.parameters() if p.requires_grad]
    groups: Groups = []
    for factor in sorted({(factors or {}).get(id(p), 1.0) for p in trainable}, reverse=True):
        members = [p for p in trainable if (factors or {}).get(id(p), 1.0) == factor]
        rate = {"lr": lr * factor} if factors else {}
        if decay_all:
            groups.append({"params": members, **rate})
            continue
        groups.append({"params": [p for p in members if p.dim() >= 2], **rate})
        groups.append({"params": [p for p in members if p.dim() < 2], "weight_decay": 0.0, **rate})
    return [group for group in groups if group["params"]] or [{"params": []}]


@OPTIMIZERS.register("sgd")
def sgd(groups: Groups, *, lr: Positive = 0.01, weight_decay: NonNegative = 0.0) -> optim.Optimizer:
    """w ← w − η dw."""
    return optim.SGD(groups, lr=lr, weight_decay=weight_decay, fused=True)


@OPTIMIZERS.register("momentum")
def momentum(
    groups: Groups,
    *,
    lr: Positive = 0.01,
    momentum: Fraction = 0.9,
    dampening: NonNegative = 0.0,
    weight_decay: NonNegative = 0.0,
) -> optim.Optimizer:
    """v ← ρv + dw, w ← w − ηv."""
    return optim.SGD(
        groups, lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay, fused=True
    )


@OPTIMIZERS.register("nesterov")
def nesterov(
    groups: Groups, *, lr: Positive = 0.01, momentum: Fraction = 0.9, weight_decay: NonNegative = 0.0
) -> optim.Optimizer:
    """v ← ρv + dw, w ← w − η(dw + ρv)."""
    return optim.SGD(
        groups, lr=lr, momentum=momentum, nesterov=momentum > 0, weight_decay=weight_decay, fused=True
    )


@OPTIMIZERS.register("rmsprop")
def rmsprop(
    groups: Groups,
    *,
    lr: Positive = 1e-3,
    alpha: Fraction = 0.99,
    eps: Positive = 1e-8,
    momentum: Fraction = 0.0,
    centered: bool = False,
    weight_decay: NonNegative = 0.0,
) -> optim.Optimizer:
    """m ← αm + (1 − α)dw², w ← w − η dw / (√m + ε) (Tieleman and Hinton 2012)."""
    return optim.RMSprop(
        groups, lr=lr, alpha=alpha, eps=eps, momentum=momentum, centered=centered, weight_decay=weight_decay
    )


@OPTIMIZERS.register("adam")
def adam(
    groups: Groups,
    *,
    lr: Positive = 1e-3,
    betas: tuple[Fraction, Fraction] = (0.9, 0.999),
    eps: Positive = 1e-8,
    amsgrad: bool = False,
    weight_decay: NonNegative = 0.0,
) -> optim.Optimizer:
    """Bias-corrected first and second moments (Kingma and Ba 2015), with L2 weight decay."""
    return optim.Adam(
        groups, lr=lr, betas=betas, eps=eps, amsgrad=amsgrad, weight_decay=weight_decay, fused=True
    )


@OPTIMIZERS.register("adamw")
def adamw(
    groups: Groups,
    *,
    lr: Positive = 1e-3,
    betas: tuple[Fraction, Fraction] = (0.9, 0.999),
    eps: Positive = 1e-8,
    amsgrad: bool = False,
    weight_decay: NonNegative = 0.01,
) -> optim.Optimizer:
    """Adam with decoupled weight decay w ← w − ηλw (Loshchilov and Hutter 2019)."""
    return optim.AdamW(
        groups, lr=lr, betas=betas, eps=eps, amsgrad=amsgrad, weight_decay=weight_decay, fused=True
    )


@OPTIMIZERS.register("adadelta")
def adadelta(
    groups: Groups,
    *,
    lr: Positive = 1.0,
    rho: Fraction = 0.9,
    eps: Positive = 1e-6,
    weight_decay: NonNegative = 0.0,
) -> optim.Optimizer:
    """Steps scaled by the ratio of two running means (Zeiler 2012); the default rate is 1, not 0.001."""
    return optim.Adadelta(groups, lr=lr, rho=rho, eps=eps, weight_decay=weight_decay)


@dataclass(frozen=True)
class Freezing:
    """Trains only some parts in the first epochs; other weights and statistics are frozen.

    Attributes:
        model: The whole network.
        trained: The parts that are trained from the first epoch.
        epochs: The number of epochs in which only these are trained.
        fixed: The part whose batch norms keep their statistics in all epochs; None for none.
    """

    model: nn.Module
    trained: tuple[nn.Module, ...]
    epochs: int
    fixed: nn.Module | None = None

    def begin(self, epoch: int) -> None:
        """Freeze or unfreeze for the epoch `epoch`, counted from 0; the model is in training mode."""
        frozen = epoch < self.epochs
        kept = {id(part) for module in self.trained for part in module.modules()}
        own = {id(p) for module in self.trained for p in module.parameters()}
        for parameter in self.model.parameters():
            parameter.requires_grad_(not frozen or id(parameter) in own)
        for module in self.model.modules():
            if frozen and id(module) not in kept and not any(True for _ in module.children()):
                module.eval()
        for module in self.fixed.modules() if self.fixed is not None else ():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.eval()


def rate_factors(network: nn.Module, decay: float, encoder: nn.Module | None = None) -> dict[int, float]:
    """Layer-wise factors of the learning rate, by id of the parameter.

    The last part of the network has the factor 1, each earlier part `decay` times the factor of the next.
    Parts are layers or stages with the norms that follow them; auxiliary heads have the factor of the head.
    With an encoder its parts are graded in this way, and everything behind it has the factor 1.
    """
    parts = network_parts(network) if encoder is None else [*network_parts(_nested(encoder)), []]
    listed = [list(chain.from_iterable(m.parameters() for m in part)) for part in parts]
    return {id(p): decay**i for i, part in enumerate(reversed(listed)) for p in part}


def _nested(encoder: nn.Module) -> nn.Sequential:
    """The layers and stages of an encoder, also where they are one level down."""
    parts = (list(child.children()) or [child] for child in encoder.children())
    return nn.Sequential(*chain.from_iterable(parts))


def network_parts(network: nn.Module) -> list[list[nn.Module]]:
    """The parts of a network with parameters, in order: layers or stages, each with the norms behind it."""
    parts: list[list[nn.Module]] = []
    for layer in _parts(network):
        own = list(layer.parameters())
        if parts and own and all(p.dim() < 2 for p in own):
            parts[-1].append(layer)
        elif own:
            parts.append([layer])
    return parts


def _parts(network: nn.Module) -> list[nn.Module]:
    if not isinstance(network, Classifier):
        return list(network.children())
    if network.head_name != "classifier":
        return network.sequence()
    return [part for half in network.sequence() for part in (list(half.children()) or [half])]
