from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import convnet


class Wrong(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x.square()

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return gradient * 3


def test_a_wrong_gradient_is_found_and_named() -> None:
    check = convnet.check_gradients(Wrong.apply, torch.randn(3, 3))
    assert not check.passed
    assert "input 0" in str(check)
    assert "WRONG" in str(check)


def test_a_right_module_passes_and_is_not_changed() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Tanh(), nn.Flatten(), nn.Linear(32, 2))
    before = module[0].weight.detach().clone()
    check = convnet.check_gradients(module, torch.randn(2, 1, 6, 6))
    assert check.passed, str(check)
    assert set(check.errors) == {"input 0", "0.weight", "0.bias", "3.weight", "3.bias"}
    assert torch.equal(module[0].weight, before)
    assert module[0].weight.dtype == torch.float32


def test_nothing_to_differentiate_is_said() -> None:
    with pytest.raises(ValueError, match="nothing to differentiate"):
        convnet.check_gradients(nn.Identity(), torch.arange(3))
