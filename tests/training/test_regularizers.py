from __future__ import annotations

import pytest
import torch
from torch import nn

from convnet.training import OPTIMIZERS, Regularizers, parameter_groups


def test_l2_l1_and_elastic_net_by_hand() -> None:
    layer = nn.Linear(2, 2)
    layer.weight.data = torch.tensor([[1.0, -2.0], [0.0, 3.0]])
    layer.bias.data = torch.tensor([2.0, -1.0])
    assert Regularizers().penalty(layer) is None

    def penalty(**options: float) -> float:
        value = Regularizers(**options).penalty(layer)
        assert value is not None
        return value.item()

    assert penalty(l2=0.1) == pytest.approx(0.5 * 0.1 * 14)
    assert penalty(l1=0.1) == pytest.approx(0.1 * 6)
    assert penalty(l1=0.1, l2=0.1) == pytest.approx(0.7 + 0.6)
    assert penalty(l2=0.1, biases=True) == pytest.approx(0.5 * 0.1 * 19)


def test_l2_is_weight_decay_for_plain_gradient_descent() -> None:
    def step(l2: float, decay: float) -> torch.Tensor:
        torch.manual_seed(0)
        layer = nn.Linear(4, 3)
        optimizer = OPTIMIZERS.build(
            "sgd", parameter_groups(layer, decay_all=False), lr=0.1, weight_decay=decay
        )
        loss = layer(torch.ones(2, 4)).square().sum()
        penalty = Regularizers(l2=l2).penalty(layer)
        (loss if penalty is None else loss + penalty).backward()
        optimizer.step()
        return layer.weight.detach()

    torch.testing.assert_close(step(0.3, 0), step(0, 0.3))


def test_max_norm_bounds_every_unit_and_leaves_the_small_alone() -> None:
    layer = nn.Conv2d(1, 3, 2)
    layer.weight.data = torch.stack([torch.full((1, 2, 2), v) for v in (3.0, 0.1, -1.0)])
    Regularizers(max_norm=1.0).project(layer)
    norms = torch.linalg.vector_norm(layer.weight.detach().flatten(1), dim=1)
    torch.testing.assert_close(norms, torch.tensor([1.0, 0.2, 1.0]))
