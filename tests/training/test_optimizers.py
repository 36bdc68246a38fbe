"""Every optimizer against its formula, written out in NumPy (M42), and M10's network by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from convnet.layers import ConvBlock
from convnet.training import LOSSES, OPTIMIZERS, parameter_groups

Array = np.ndarray
Rule = Callable[[Array, Array, dict[str, Array], int], Array]


def sgd(w: Array, g: Array, state: dict[str, Array], t: int) -> Array:
    return w - 0.01 * g


def momentum(w: Array, g: Array, state: dict[str, Array], t: int) -> Array:
    state["v"] = 0.9 * state.get("v", 0) + g
    return w - 0.01 * state["v"]


def nesterov(w: Array, g: Array, state: dict[str, Array], t: int) -> Array:
    state["v"] = 0.9 * state.get("v", 0) + g
    return w - 0.01 * (g + 0.9 * state["v"])


def rmsprop(w: Array, g: Array, state: dict[str, Array], t: int) -> Array:
    state["m"] = 0.99 * state.get("m", 0) + 0.01 * g**2
    return w - 1e-3 * g / (np.sqrt(state["m"]) + 1e-8)


def adam(w: Array, g: Array, state: dict[str, Array], t: int) -> Array:
    state["m"] = 0.9 * state.get("m", 0) + 0.1 * g
    state["v"] = 0.999 * state.get("v", 0) + 0.001 * g**2
    corrected = state["m"] / (1 - 0.9**t), state["v"] / (1 - 0.999**t)
    return w - 1e-3 * corrected[0] / (np.sqrt(corrected[1]) + 1e-8)


def adamw(w: Array, g: Array, state: dict[str, Array], t: int) -> Array:
    return adam(w * (1 - 1e-3 * 0.01), g, state, t)


def adadelta(w: Array, g: Array, state: dict[str, Array], t: int) -> Array:
    state["g"] = 0.9 * state.get("g", 0) + 0.1 * g**2
    step = np.sqrt(state.get("x", np.zeros_like(w)) + 1e-6) / np.sqrt(state["g"] + 1e-6) * g
    state["x"] = 0.9 * state.get("x", 0) + 0.1 * step**2
    return w - step


RULES: dict[str, Rule] = {f.__name__: f for f in (sgd, momentum, nesterov, rmsprop, adam, adamw, adadelta)}


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_the_same_weights_as_the_formula(name: str) -> None:
    generator = np.random.default_rng(0)
    w, x, y = generator.normal(size=(4, 3)), generator.normal(size=(8, 3)), generator.normal(size=(8, 4))
    layer = nn.Linear(3, 4, bias=False).double()
    layer.weight.data = torch.from_numpy(w.copy())
    optimizer = OPTIMIZERS.build(name, parameter_groups(layer, decay_all=False))
    state: dict[str, Array] = {}
    for t in range(1, 21):
        w = RULES[name](w, 2 * (x @ w.T - y).T @ x / len(x), state, t)
        optimizer.zero_grad()
        (layer(torch.from_numpy(x)) - torch.from_numpy(y)).square().sum(1).mean().backward()
        optimizer.step()
    np.testing.assert_allclose(layer.weight.detach().numpy(), w, rtol=1e-10, atol=1e-12)


def test_the_two_layer_net_written_by_hand() -> None:
    """M10: N, D_in, H, D_out = 64, 1000, 100, 10; sigmoid, L2 loss, plain gradient descent at 1e-4."""
    generator = np.random.default_rng(0)
    n, d_in, h, d_out = 64, 1000, 100, 10
    x, y = generator.normal(size=(n, d_in)), generator.normal(size=(n, d_out))
    w1, w2 = generator.normal(size=(d_in, h)), generator.normal(size=(h, d_out))
    model = nn.Sequential(
        nn.Linear(d_in, h, bias=False), nn.Sigmoid(), nn.Linear(h, d_out, bias=False)
    ).double()
    model[0].weight.data, model[2].weight.data = torch.from_numpy(w1.T.copy()), torch.from_numpy(w2.T.copy())
    optimizer = OPTIMIZERS.build("sgd", parameter_groups(model, decay_all=False), lr=1e-4)
    for _ in range(200):
        hidden = 1 / (1 + np.exp(-x @ w1))
        predicted = hidden @ w2
        gradient = 2 * (predicted - y)
        gradient_w2 = hidden.T @ gradient
        gradient_w1 = x.T @ (gradient @ w2.T * hidden * (1 - hidden))
        w1, w2 = w1 - 1e-4 * gradient_w1, w2 - 1e-4 * gradient_w2
        optimizer.zero_grad()
        (model(torch.from_numpy(x)) - torch.from_numpy(y)).square().sum().backward()
        optimizer.step()
    np.testing.assert_allclose(model[0].weight.detach().numpy().T, w1, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(model[2].weight.detach().numpy().T, w2, rtol=1e-8, atol=1e-10)


def test_our_squared_error_trains_like_the_formula() -> None:
    """M10 with our loss: N times its mean over the batch is the sum that the lecture differentiates."""
    torch.manual_seed(0)
    logits, targets = torch.randn(64, 10, requires_grad=True), torch.arange(64) % 10
    (64 * LOSSES.build("squared-error")(logits, targets)).backward()
    torch.testing.assert_close(logits.grad, 2 * (logits - nn.functional.one_hot(targets, 10)).detach())


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_weight_decay_spares_biases_and_norms_unless_asked(name: str) -> None:
    for decay_all in (False, True):
        torch.manual_seed(0)
        block = ConvBlock(2, 3)
        nn.init.ones_(block[1].bias)
        groups = parameter_groups(block, decay_all=decay_all)
        optimizer = OPTIMIZERS.build(name, groups, lr=0.1, weight_decay=0.5)
        before = {k: p.detach().clone() for k, p in block.named_parameters()}
        for p in block.parameters():
            p.grad = torch.zeros_like(p)
        optimizer.step()
        changed = {k for k, p in block.named_parameters() if not torch.equal(p, before[k])}
        assert changed == ({"conv.weight", "bn.weight", "bn.bias"} if decay_all else {"conv.weight"})
