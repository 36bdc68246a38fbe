"""The scale of activations and gradients through the layers of a deep network at its initialization."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from convnet.concepts.concept import table
from convnet.errors import DataError
from convnet.layers.activations import ACTIVATIONS, make_activation, widening
from convnet.layers.init import INITIALIZERS

DEEPEST, WIDEST = 200, 512
SAMPLES = 256


@dataclass(frozen=True)
class Depths:
    """One network: its design, and the scale of its signals per layer.

    Attributes:
        design: What was typed: "he", "0.01", "he+norm", "he+skip".
        activations: The standard deviation of the output of every layer.
        gradients: The standard deviation of the gradient of the loss with respect to every output.
    """

    design: str
    activations: tuple[float, ...]
    gradients: tuple[float, ...]


@dataclass(frozen=True)
class Signals:
    """The scale of activations and gradients of several networks that differ in one thing.

    Attributes:
        depth: The number of hidden layers.
        width: The units of each.
        activation: The activation function.
        networks: One per design.
    """

    depth: int
    width: int
    activation: str
    networks: tuple[Depths, ...]

    def to_dict(self) -> dict[str, Any]:
        """The scales as plain values; those that are not finite are None."""
        return {
            "depth": self.depth,
            "width": self.width,
            "activation": self.activation,
            "networks": [
                {
                    "design": network.design,
                    "activations": [v if math.isfinite(v) else None for v in network.activations],
                    "gradients": [v if math.isfinite(v) else None for v in network.gradients],
                }
                for network in self.networks
            ],
        }

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [("", "activations, first", "last", "gradients, first", "last")]
        for network in self.networks:
            ends = (*_ends(network.activations), *_ends(network.gradients))
            rows.append((network.design, *(f"{value:.2g}" for value in ends)))
        setting = f"{self.depth} layers of {self.width} units, {self.activation}"
        return f"{setting}; standard deviations\n{table(rows)}"


DEFAULT_DESIGNS = ("0.01", "xavier", "he", "he+norm", "he+skip", "he+norm+skip")


def signals(
    designs: Sequence[str] = DEFAULT_DESIGNS,
    *,
    depth: int = 30,
    width: int = 256,
    activation: str = "relu",
    seed: int = 0,
) -> Signals:
    """Measure the activations and the gradients of every layer of networks before training.

    256 random samples of unit variance pass forward, and a random gradient of unit variance backward.

        >>> from convnet.concepts import signals
        >>> small, he = signals(["0.01", "he"], depth=20).networks
        >>> small.activations[-1] < 1e-10, 0.1 < he.activations[-1] < 10
        (True, True)

    Args:
        designs: "xavier", "he" or "torch", or the standard deviation of normal weights, such as "0.01". With
            "+norm" batch norm follows every linear layer; with "+skip" every second layer adds its input.
        depth: The number of layers, 1 to 200.
        width: The units of every layer, 1 to 512.
        activation: The activation function.
        seed: The seed of weights and samples.

    Returns:
        The standard deviations per layer.

    Raises:
        DataError: A design cannot be read, or a number is out of range.
        UnknownNameError: There is no such activation function.
    """
    for name, value, most in (("depth", depth, DEEPEST), ("width", width, WIDEST)):
        if not 1 <= value <= most:
            raise DataError(f"{name} {value}: expected 1 to {most:,}")
    ACTIVATIONS[activation]
    if not designs:
        raise DataError("designs: expected at least one, such as he")
    networks = [_measure(_Design(text), depth, width, activation, seed) for text in designs]
    return Signals(depth, width, activation, tuple(networks))


class _Design:
    """The parts of a design: how weights are drawn, and what is added."""

    def __init__(self, text: str) -> None:
        self.text = text
        init, *extras = text.split("+")
        if unknown := sorted(set(extras) - {"norm", "skip"}):
            raise DataError(f"design '{text}': '{unknown[0]}' is unknown; add +norm or +skip")
        self.norm, self.skip = "norm" in extras, "skip" in extras
        self.init, self.std = init, 0.0
        if init not in INITIALIZERS:
            try:
                self.std = float(init)
            except ValueError:
                self.std = math.nan
            if not 0 < self.std < math.inf:
                known = ", ".join(INITIALIZERS)
                raise DataError(f"design '{text}': expected {known} or a standard deviation such as 0.01")

    def fill(self, weight: Tensor) -> None:
        if self.std:
            nn.init.normal_(weight, std=self.std)
        else:
            INITIALIZERS[self.init](weight)


def _measure(design: _Design, depth: int, width: int, activation: str, seed: int) -> Depths:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        x = torch.randn(SAMPLES, width, requires_grad=True)
        outputs: list[Tensor] = []
        shortcut = x
        for number in range(depth):
            x = _layer(design, width, activation)(x)
            if design.skip and number % 2:
                x = shortcut = x + shortcut
            outputs.append(x)
        for output in outputs:
            output.retain_grad()
        outputs[-1].backward(torch.randn(SAMPLES, width))
    gradients = [output.grad for output in outputs]
    return Depths(
        design.text,
        tuple(float(output.detach().std()) for output in outputs),
        tuple(0.0 if grad is None else float(grad.std()) for grad in gradients),
    )


def _layer(design: _Design, width: int, activation: str) -> nn.Sequential:
    linear = nn.Linear(width, width * widening(activation), bias=False)
    with torch.no_grad():
        design.fill(linear.weight)
    norm = [nn.BatchNorm1d(width * widening(activation))] if design.norm else []
    return nn.Sequential(linear, *norm, make_activation(activation))


def _ends(values: tuple[float, ...]) -> tuple[float, float]:
    return values[0], values[-1]
