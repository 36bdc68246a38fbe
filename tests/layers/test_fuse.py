"""Batch norms folded into convolutions change nothing but the speed."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from convnet.layers import fused
from convnet.models import build_model
from convnet.types import ImageShape

NAMES = ["efficientnet-lite0", "mobilenet-v2", "resnet18", "resnet20", "resnet9", "small-convnet", "unet"]


@pytest.mark.parametrize("name", NAMES)
def test_outputs_stay_the_same(name: str) -> None:
    torch.manual_seed(0)
    model = build_model(name, ImageShape(3, 64, 64), 4).eval()
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    images = torch.randn(2, 3, 64, 64)
    copied = fused(model, images)
    with torch.no_grad():
        expected = model(images)
        torch.testing.assert_close(
            copied(images), expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max())
        )
    assert norms and not any(isinstance(module, nn.BatchNorm2d) for module in copied.modules())
    assert sum(isinstance(module, nn.BatchNorm2d) for module in model.modules()) == len(norms)


def test_norms_in_front_of_convolutions_stay() -> None:
    model = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4)).eval()
    images = torch.randn(2, 3, 8, 8)
    copied = fused(model, images)
    assert sum(isinstance(module, nn.BatchNorm2d) for module in copied) == 2
    assert torch.equal(copied(images), model(images))


class Shortcut(nn.Module):
    """A convolution whose output is read by a norm and by a shortcut, as in pre-activation ResNets."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.conv(x)
        return y + self.norm(y).relu()


def test_convolutions_that_a_shortcut_reads_stay() -> None:
    torch.manual_seed(0)
    model = Shortcut().eval()
    model.norm.running_var.fill_(4)
    images = torch.randn(2, 3, 8, 8)
    assert torch.equal(fused(model, images)(images), model(images))
