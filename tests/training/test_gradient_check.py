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


class Small(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return 1e-5 * x

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return -1e-5 * gradient


class NotFinite(Wrong):
    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return torch.full_like(gradient, float("nan"))


@pytest.mark.parametrize("function", [Small, NotFinite])
def test_small_and_infinite_wrong_gradients_are_found(function: type[torch.autograd.Function]) -> None:
    assert not convnet.check_gradients(function.apply, torch.randn(3, 3)).passed


def test_layers_that_work_in_place_and_other_layouts() -> None:
    assert convnet.check_gradients(nn.ReLU(inplace=True), torch.randn(3, 4)).passed
    module = nn.Conv2d(2, 2, 3).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    assert convnet.check_gradients(module, torch.randn(2, 5, 6, 2).permute(0, 3, 1, 2)).passed
