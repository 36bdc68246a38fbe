"""The part of every earlier layer that a unit depends on, against gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from convnet.errors import ModelError
from convnet.explain.capture import Capture, capture
from convnet.explain.receptive_fields import receptive_fields
from convnet.models import build_model
from convnet.types import ImageShape

NETWORKS = {
    "lenet5": (1, 28, 28),
    "resnet20": (3, 32, 32),
    "googlenet": (3, 64, 64),
    "squeezenet1.1": (3, 64, 64),
    "mobilenet-v2": (3, 64, 64),
    "convnetjs-cifar10": (3, 32, 32),
}


class Odd(nn.Module):
    """Strides, dilation, groups, an up-convolution, a concatenation, a mean."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 4, (3, 5), stride=(2, 1), padding=(1, 0), dilation=(1, 2))
        self.grouped = nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=2)
        self.down = nn.AvgPool2d(2, ceil_mode=True)
        self.up = nn.ConvTranspose2d(4, 3, 2, stride=2)
        self.last = nn.Conv2d(7, 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.first(x))
        y = self.up(self.down(torch.tanh(self.grouped(x))))
        x = torch.cat([x, y[:, :, : x.shape[2], : x.shape[3]]], 1)
        return self.last(x).mean((2, 3))


def network(name: str) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    if name == "odd":
        return Odd().eval(), torch.randn(1, 2, 12, 14)
    shape = ImageShape(*NETWORKS[name])
    return build_model(name, shape, 10).eval(), torch.randn(1, *shape)


def support(model: nn.Module, image: Tensor, found: Capture, layer: str, place: tuple[int, ...]) -> Tensor:
    """The size of the gradient of a unit with respect to every pixel."""
    image = image.double().requires_grad_()
    kept: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        kept.append(output)

    hook = model.get_submodule(layer).register_forward_hook(keep)
    model.double()(image)
    hook.remove()
    (gradient,) = torch.autograd.grad(kept[-1][(0, *place)], image)
    return gradient[0].abs().sum(0)


@pytest.mark.parametrize("name", [*NETWORKS, "odd"])
def test_the_gradient_of_a_unit_lies_within_its_box_and_reaches_its_edges(name: str) -> None:
    model, image = network(name)
    for part in model.modules():
        if isinstance(part, nn.ReLU | nn.ReLU6 | nn.Hardswish | nn.SiLU):
            part.forward = torch.tanh  # type: ignore[method-assign]
        if isinstance(part, nn.MaxPool2d):
            part.forward = nn.AvgPool2d(  # type: ignore[method-assign]
                part.kernel_size, part.stride, part.padding, part.ceil_mode
            ).forward
    found = capture(model, image)
    convolutions = [op for op in found.operations if op.kind == "conv2d"]
    for op in (convolutions[0], convolutions[len(convolutions) // 2], convolutions[-1]):
        _, _, rows, columns = op.output.shape
        for place in ((0, 0, 0), (0, rows // 2, columns // 2), (1, rows - 1, columns - 1)):
            top, bottom, left, right = receptive_fields(found, op.name, place)["input"]
            gradient = support(model, image, found, op.module, place)
            inside = gradient[top : bottom + 1, left : right + 1]
            assert inside.sum() == pytest.approx(float(gradient.sum()))
            if name != "odd":  # between dilated and strided positions the hull has gaps
                assert inside[0].sum() > 0 and inside[-1].sum() > 0
                assert inside[:, 0].sum() > 0 and inside[:, -1].sum() > 0
    model.float()


def test_scores_depend_on_everything() -> None:
    model, image = network("lenet5")
    found = capture(model, image)
    last = found.operations[-1]
    boxes = receptive_fields(found, last.name, (3,))
    assert boxes["input"] == (0, 27, 0, 27)
    assert set(boxes) == {"input", *(op.name for op in found.operations)}


def test_layers_after_the_unit_are_not_reached() -> None:
    model, image = network("resnet20")
    found = capture(model, image)
    names = [op.name for op in found.operations]
    middle = names.index("layer2.0.conv1")
    assert set(receptive_fields(found, "layer2.0.conv1", (0, 3, 3))) <= {"input", *names[: middle + 1]}


def test_a_unit_outside_the_layer_is_an_error() -> None:
    model, image = network("lenet5")
    found = capture(model, image)
    with pytest.raises(ModelError, match="has no unit"):
        receptive_fields(found, "features.0", (0, 28, 0))
