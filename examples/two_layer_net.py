"""The lectures' two-layer network, twice: its gradients by hand in NumPy, and with convnet's SGD.

    python examples/two_layer_net.py

Both start from the same weights and see the same random data; after 500 steps they must be the same network.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from convnet.layers import make_activation
from convnet.training import OPTIMIZERS, parameter_groups

SAMPLES, INPUTS, HIDDEN, OUTPUTS, RATE, STEPS = 64, 1000, 100, 10, 1e-4, 500

generator = np.random.default_rng(0)
x, y = generator.normal(size=(SAMPLES, INPUTS)), generator.normal(size=(SAMPLES, OUTPUTS))
w1, w2 = generator.normal(size=(INPUTS, HIDDEN)), generator.normal(size=(HIDDEN, OUTPUTS))

network = nn.Sequential(
    nn.Linear(INPUTS, HIDDEN, bias=False), make_activation("sigmoid"), nn.Linear(HIDDEN, OUTPUTS, bias=False)
).double()
network[0].weight.data.copy_(torch.from_numpy(w1.T))
network[2].weight.data.copy_(torch.from_numpy(w2.T))
optimizer = OPTIMIZERS.build("sgd", parameter_groups(network, decay_all=True), lr=RATE)

for step in range(1, STEPS + 1):
    # By hand: forward, loss, backward, update.
    hidden = 1 / (1 + np.exp(-x @ w1))
    predicted = hidden @ w2
    loss = np.square(predicted - y).sum()
    of_predicted = 2 * (predicted - y)
    of_w2 = hidden.T @ of_predicted
    of_w1 = x.T @ (of_predicted @ w2.T * hidden * (1 - hidden))
    w1 -= RATE * of_w1
    w2 -= RATE * of_w2

    # The same with automatic gradients.
    optimizer.zero_grad()
    ours = (network(torch.from_numpy(x)) - torch.from_numpy(y)).square().sum()
    ours.backward()
    optimizer.step()
    if step in (1, 10, 100, STEPS):
        print(f"step {step:>3}: loss by hand {loss:12.6f}, with convnet {ours.item():12.6f}")

apart = max(
    np.abs(network[0].weight.detach().numpy().T - w1).max(),
    np.abs(network[2].weight.detach().numpy().T - w2).max(),
)
print(f"largest difference between the weights: {apart:.1e}")
assert apart < 1e-9
