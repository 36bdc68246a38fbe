"""Receptive fields (M25) against the gradients of the input, which tell what a place really depends on."""

from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from convnet import summary
from convnet.analysis.inputs import Inputs
from convnet.analysis.reach import Reach
from convnet.analysis.trace import trace
from convnet.layers import ConvBlock, LocallyConnected2d, Residual, UpConv2d
from convnet.meta import on_meta
from convnet.models import build_model
from convnet.types import ImageShape


class Concat(nn.Module):
    """Branches over the same input, their channels side by side."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


def seen(model: nn.Module, shape: tuple[int, ...], place: tuple[int, ...]) -> list[tuple[int, int] | None]:
    """First and last pixel along every side that an output place depends on; None where there is none.

    Positive weights and inputs, so that nothing cancels and no ReLU is shut.
    """
    model = model.double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.rand_like(parameter) + 0.1)
    x = (torch.rand(1, *shape, dtype=torch.float64) + 0.1).requires_grad_()
    model(x)[(0, slice(None), *place)].sum().backward()
    assert x.grad is not None
    reached = x.grad[0].abs().sum(0)
    ends: list[tuple[int, int] | None] = []
    for side in range(reached.dim()):
        others = [d for d in range(reached.dim()) if d != side]
        pixels = (reached.sum(others) if others else reached).nonzero().flatten().tolist()
        ends.append((pixels[0], pixels[-1]) if pixels else None)
    return ends


def check(model: nn.Module, shape: tuple[int, ...]) -> int:
    """Places see what the table says; returns how many sides of places were compared exactly.

    A field that extend beyond the border also counts what places outside of the maps would have seen: there,
    the real one must lie within it.
    """
    field = trace(on_meta(model), Inputs({"0": tuple(shape)}, torch.float32)).call.field
    assert field is not None
    sides, exact = field.shape[2:], 0
    middle = (tuple(n // 2 for n in sides), tuple(n // 2 - 1 for n in sides))
    for place in {tuple(0 for _ in sides), *middle, tuple(n - 1 for n in sides)}:
        if min(place) < 0:
            continue
        for side, found in enumerate(seen(model, shape, place)):
            reach, last = field.reaches[side], shape[1 + side] - 1
            assert reach is not None
            low, high = reach.at(place[side])
            if found is None:
                assert low > high or low < 0 or high > last
            elif low >= 0 and high <= last:
                assert (low, high) == found
                exact += 1
            else:
                assert low <= found[0] and found[1] <= high
    return exact


class UNet(nn.Module):
    """A small U: two levels down and up, with skips; once with up-convolutions, once with resizing."""

    def __init__(self, up: str, valid: bool = False) -> None:
        super().__init__()
        p = 0 if valid else 1
        self.down1, self.down2, self.bottom = (
            nn.Sequential(nn.Conv2d(a, b, 3, padding=p), nn.ReLU()) for a, b in ((1, 2), (2, 4), (4, 8))
        )

        def raised(a: int, b: int) -> nn.Module:
            if up == "transposed":
                return UpConv2d(a, b)
            return nn.Sequential(nn.Upsample(scale_factor=2, mode=up), nn.Conv2d(a, b, 1))

        self.up2, self.up1 = raised(8, 4), raised(4, 2)
        self.join2, self.join1 = nn.Conv2d(8, 4, 3, padding=p), nn.Conv2d(4, 2, 3, padding=p)

    def forward(self, x: Tensor) -> Tensor:
        one = self.down1(x)
        two = self.down2(F.max_pool2d(one, 2))
        up = self.up2(self.bottom(F.avg_pool2d(two, 2)))
        up = self.join2(torch.cat([crop(two, up), up], 1))
        up = self.up1(up)
        return self.join1(torch.cat([crop(one, up), up], 1))


def crop(x: Tensor, like: Tensor) -> Tensor:
    top, left = ((a - b) // 2 for a, b in zip(x.shape[2:], like.shape[2:], strict=True))
    return x[:, :, top : top + like.shape[2], left : left + like.shape[3]]


NETWORKS = {
    "convolutions": lambda: nn.Sequential(
        nn.Conv2d(1, 2, 3, 2, 1), nn.ReLU(), nn.Conv2d(2, 2, (3, 5), dilation=2)
    ),
    "rectangular": lambda: nn.Sequential(nn.Conv2d(1, 2, (1, 7), (1, 2)), nn.AvgPool2d((3, 1), 1)),
    "pools that round up": lambda: nn.Sequential(nn.AvgPool2d(3, 2, ceil_mode=True), nn.Conv2d(1, 1, 3)),
    "residual": lambda: nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1),
        Residual(nn.Sequential(nn.Conv2d(2, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 1, 1)), nn.Conv2d(2, 4, 1, 2)),
        nn.Conv2d(4, 2, 3),
    ),
    "branches": lambda: Concat(
        nn.Conv2d(1, 2, 1), nn.Conv2d(1, 2, 5, padding=2), nn.AvgPool2d(3, 1, 1), ConvBlock(1, 2, norm=False)
    ),
    "u-shaped": lambda: UNet("transposed"),
    "u-shaped, valid": lambda: UNet("transposed", valid=True),
    "u-shaped, resized": lambda: UNet("nearest"),
    "u-shaped, interpolated": lambda: UNet("bilinear"),
    "up-convolution": lambda: nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.ConvTranspose2d(2, 2, 3, 2, 1), nn.Conv2d(2, 1, 3)
    ),
    "gaps": lambda: nn.ConvTranspose2d(1, 1, 3, 2, dilation=2),
    "adaptive": lambda: nn.Sequential(nn.Conv2d(1, 1, 3), nn.AdaptiveAvgPool2d((7, 4))),
    "instance norm": lambda: nn.Sequential(nn.Conv2d(1, 1, 3), nn.InstanceNorm2d(1)),
    "interpolated by odd factors": lambda: nn.Sequential(
        nn.Conv2d(1, 1, 3), nn.Upsample(scale_factor=1.7, mode="bilinear"), nn.Upsample(scale_factor=0.7)
    ),
    "interpolated, aligned": lambda: nn.Upsample((40, 31), mode="bilinear", align_corners=True),
    "shuffled": lambda: nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.PixelShuffle(2), nn.Conv2d(2, 4, 3)),
    "unshuffled": lambda: nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(4, 4, 3)),
    "locally connected": lambda: nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1), LocallyConnected2d(2, 3, (60, 52), 3, stride=2)
    ),
    "padded": lambda: nn.Sequential(nn.ZeroPad2d((1, 2, 0, 3)), nn.Conv2d(1, 1, 4, 3)),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_fields_are_what_gradients_reach(name: str) -> None:
    assert check(NETWORKS[name](), (1, 60, 52))


def test_fields_of_signals() -> None:
    """M34: causal and dilated convolutions over time."""
    causal = [
        layer for d in (1, 2, 4) for layer in (nn.ConstantPad1d((d, 0), 0.0), nn.Conv1d(1, 1, 2, dilation=d))
    ]
    check(nn.Sequential(*causal), (1, 30))
    assert summary(nn.Sequential(*causal), (1, 30)).root.receptive_field == (8,)


layers = st.one_of(
    st.tuples(st.just("conv"), st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2)),
    st.tuples(st.just("pool"), st.integers(1, 3), st.integers(1, 3), st.just(0), st.just(1)),
    st.tuples(st.just("up"), st.integers(2, 4), st.integers(1, 3), st.just(0), st.just(1)),
    st.tuples(st.just("resize"), st.integers(5, 17), st.just(1), st.just(0), st.just(1)),
)


@settings(max_examples=60)
@given(st.lists(layers, min_size=1, max_size=4))
def test_fields_of_any_stack(stack) -> None:
    modules: list[nn.Module] = []
    for kind, size, stride, padding, dilation in stack:
        if kind == "conv":
            modules.append(nn.Conv2d(1, 1, size, stride, padding, dilation))
        elif kind == "pool":
            modules.append(nn.AvgPool2d(size, stride))
        elif kind == "up":
            assume(stride <= size)
            modules.append(nn.ConvTranspose2d(1, 1, size, stride, padding))
        else:
            modules.append(nn.Upsample((size, size), mode="nearest"))
    model = nn.Sequential(*modules)
    with torch.no_grad():
        try:
            out = model(torch.zeros(1, 1, 30, 30))
        except RuntimeError:
            reject()
    assume(min(out.shape[2:]) > 0 and max(out.shape[2:]) < 90)
    check(model, (1, 30, 30))


@given(st.integers(1, 6), st.integers(1, 9))
def test_the_field_of_equal_layers(depth: int, kernel: int) -> None:
    """M25: 1 + L(K − 1)."""
    table = summary(
        nn.Sequential(*(nn.Conv2d(1, 1, kernel, padding=kernel) for _ in range(depth))), (1, 9, 9)
    )
    assert table.layers[-1].receptive_field == (1 + depth * (kernel - 1),) * 2
    assert table.layers[-1].own_field == (kernel, kernel)
    assert table.layers[-1].jump == (1.0, 1.0)


@pytest.mark.parametrize(
    ("name", "size", "jump"),
    [
        ("vgg-d", 212, 32),
        ("resnet18", 435, 32),
        ("resnet50", 427, 32),
        ("alexnet", 195, 32),
        ("googlenet", 715, 32),
    ],
)
def test_fields_of_known_networks(name: str, size: int, jump: int) -> None:
    """The last maps; 212, 435 and 195 are in Araujo et al. 2019, "Computing receptive fields"."""
    side = 227 if name == "alexnet" else 224
    with torch.device("meta"):
        model = build_model(name, ImageShape(3, side, side), 1000)
    maps = [layer for layer in summary(model, (3, side, side)).layers if layer.jump and any(layer.jump)]
    assert maps[-1].receptive_field == (size, size)
    assert maps[-1].jump == (jump, jump)


def test_what_all_places_share() -> None:
    """A mean over all places, a squeeze-and-excitation gate, attention: everything sees everything."""

    class Gate(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * x.mean((2, 3), keepdim=True).sigmoid()

    table = summary(nn.Sequential(nn.Conv2d(1, 4, 3), Gate()), (1, 16, 16))
    assert table.root.receptive_field == (16, 16)
    tokens = nn.Sequential(nn.Conv2d(1, 4, 4, 4), nn.Flatten(2))
    assert summary(tokens, (1, 16, 16)).root.receptive_field == (4, 4)  # flattened, not yet mixed
    layer = nn.TransformerEncoderLayer(16, 2, 8, batch_first=True)
    assert summary(nn.Sequential(tokens, layer), (1, 16, 16)).root.receptive_field == (16, 16)


def test_what_cannot_be_known_is_unknown() -> None:
    class Roll(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.roll(x, 1, 2)

    table = summary(nn.Sequential(nn.Conv2d(1, 1, 3), Roll(), nn.Conv2d(1, 1, 3)), (1, 8, 8))
    assert [layer.receptive_field for layer in table.layers] == [(3, 3), None, None]
    assert [row["receptive_field"] for row in table.to_dict()["layers"]] == [3, "unknown", "unknown"]
    assert "unknown" in str(table)


@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 3), st.integers(1, 3), st.integers(1, 20))
def test_shortest_periods(kernel: int, stride: int, padding: int, factor: int, place: int) -> None:
    """Down and up again: the period is no longer than it must be, and says the same."""
    reach = Reach.pixels().window(kernel, stride, padding)
    assert reach.period == 1
    raised = reach.read(factor, 1, lambda i: [i // factor])
    assert raised.period == factor
    assert raised.at(place) == reach.at(place // factor)
    assert raised.window(1, factor).period == 1
