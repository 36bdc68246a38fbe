from __future__ import annotations

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from convnet.layers import (
    ACTIVATIONS,
    INITIALIZERS,
    ChannelMaxPool,
    Conv2d,
    ConvBlock,
    Dropout,
    FlattenLinear,
    LocallyConnected2d,
    LocalResponseNorm,
    Maxout,
    Normalize,
    Residual,
    UpConv2d,
    guard_narrow_convolutions,
    initialize,
    make_activation,
    output_size,
)
from convnet.training import check_gradients

LAYERS = {
    "same convolution, odd": lambda: Conv2d(2, 3, 3, padding="same"),
    "same convolution, even": lambda: Conv2d(2, 3, 2, padding="same"),
    "strided, dilated convolution in groups": lambda: Conv2d(
        2, 4, 2, stride=2, padding="full", dilation=2, groups=2
    ),
    "up-convolution": lambda: UpConv2d(2, 3, 3),
    "locally connected": lambda: LocallyConnected2d(2, 3, (6, 5), 3, stride=2, padding=1),
    "local response norm": lambda: LocalResponseNorm(3, alpha=0.5),
    "channel max pool": lambda: ChannelMaxPool(2),
    "maps to dense": lambda: FlattenLinear((2, 6, 5), 4),
    "dropout": lambda: Dropout(0.4),
    "maxout": lambda: Maxout(2),
    "normalize": lambda: Normalize(torch.rand(1, 2, 1, 1), torch.rand(1, 2, 1, 1) + 0.5),
    "convolution block": lambda: ConvBlock(2, 4, activation="elu", pool=True),
    "residual": lambda: Residual(nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.Tanh())),
}


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_of_every_layer(name: str) -> None:
    torch.manual_seed(0)
    check = check_gradients(LAYERS[name](), torch.randn(3, 2, 6, 5))
    assert check.passed, str(check)


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_gradients_of_every_activation(name: str) -> None:
    torch.manual_seed(1)
    module = make_activation(name)
    check = check_gradients(lambda x: module(x.clone()), torch.randn(4, 6))
    assert check.passed, str(check)


def test_activation_formulas() -> None:
    x = torch.linspace(-3, 3, 13)

    def values(name: str) -> torch.Tensor:
        return make_activation(name)(x.clone())

    torch.testing.assert_close(values("sigmoid"), 1 / (1 + torch.exp(-x)))
    torch.testing.assert_close(values("tanh"), torch.tanh(x))
    torch.testing.assert_close(values("relu"), torch.maximum(torch.zeros(()), x))
    torch.testing.assert_close(values("leaky-relu"), torch.maximum(0.1 * x, x))
    torch.testing.assert_close(values("elu"), torch.where(x > 0, x, torch.exp(x) - 1))
    pieces = torch.tensor([[1.0, 5.0, 4.0, -2.0]])  # two channels of two pieces: (1, 4) and (5, −2)
    assert make_activation("maxout")(pieces).tolist() == [[4.0, 5.0]]


@given(st.integers(1, 60), st.integers(1, 7), st.integers(1, 4), st.integers(0, 3))
def test_output_size_is_torchs(size: int, kernel: int, stride: int, padding: int) -> None:
    if size + 2 * padding < kernel:
        return
    x = torch.zeros(1, 1, size, 1)
    found = F.conv2d(x, torch.zeros(1, 1, kernel, 1), stride=(stride, 1), padding=(padding, 0))
    assert output_size(size, kernel, stride, padding) == found.shape[2]


def test_output_sizes_of_the_lectures() -> None:
    """M24: 7 with 3 at stride 1 and 2; pad 1 keeps 7; 32 → 28 → 24 with 5×5; 227 with 11 at stride 4 → 55."""
    assert [output_size(7, 3), output_size(7, 3, 2), output_size(7, 3, padding=1)] == [5, 3, 7]
    assert [output_size(32, 5), output_size(28, 5)] == [28, 24]
    assert output_size(227, 11, 4) == 55
    assert sum(p.numel() for p in Conv2d(3, 10, 5, padding=2).parameters()) == 760


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_maps_to_dense_is_flatten_and_linear(memory_format: torch.memory_format) -> None:
    layer, x = FlattenLinear((3, 4, 5), 7), torch.randn(2, 3, 4, 5)
    flat = nn.Sequential(nn.Flatten(), nn.Linear(60, 7))
    flat[1].load_state_dict(layer.state_dict())
    layer.to(memory_format=memory_format)
    torch.testing.assert_close(layer(x.to(memory_format=memory_format)), flat(x))
    torch.testing.assert_close(layer.templates().flatten(1), flat[1].weight)
    other = FlattenLinear((3, 4, 5), 7)
    other.load_state_dict(flat[1].state_dict())
    assert torch.equal(other.weight, layer.weight)


def test_weights_of_another_shape_are_refused_by_a_dense_layer_over_maps() -> None:
    with pytest.raises(RuntimeError, match="size mismatch"):
        FlattenLinear((3, 4, 5), 7).load_state_dict(FlattenLinear((3, 4, 4), 7).state_dict())


@pytest.mark.parametrize("p", [0.0, 1e-6, 0.1, 0.35, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_dropout_drops_its_share_and_keeps_the_mean(p: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x = torch.ones(64, 8, 20, 20, dtype=dtype).to(memory_format=torch.channels_last)
    y = Dropout(p)(x)
    n = x.numel()
    assert ((y == 0).sum() / n).item() == pytest.approx(p, abs=4 * (p * (1 - p) / n) ** 0.5 + 1e-5)
    assert y[y != 0].unique().tolist() == [pytest.approx(1 / (1 - p), rel=1e-2)]
    assert torch.equal(Dropout(p).eval()(x), x)
    sliced = torch.ones(4, 8, 6, 6, dtype=dtype)[:, ::2, 1:]
    assert Dropout(p)(sliced).shape == sliced.shape


def test_dropout_noise_has_no_pattern() -> None:
    """Shares per image, per channel and per element scatter as independent draws do; steps are unrelated."""
    torch.manual_seed(0)
    p, steps, shape = 0.35, 60, (64, 16, 12, 12)
    x = torch.ones(shape).to(memory_format=torch.channels_last)
    kept = torch.stack([(Dropout(p)(x) > 0).double() for _ in range(steps)])
    for over in ((2, 3, 4), (1, 3, 4), (1, 2), (0,)):
        share = kept.mean(over)
        expected = (p * (1 - p) * share.numel() / kept.numel()) ** 0.5
        assert share.std().item() == pytest.approx(expected, rel=5 / (2 * share.numel()) ** 0.5)
    flat = ((kept - kept.mean()) / kept.std()).permute(0, 1, 3, 4, 2).flatten(1)
    for lag in (1, 2, 3, 16, 192):
        correlation = (flat[:, lag:] * flat[:, :-lag]).mean().item()
        assert abs(correlation) < 5 / flat.numel() ** 0.5
    assert abs((flat[1:] * flat[:-1]).mean().item()) < 5 / flat.numel() ** 0.5


@pytest.mark.parametrize(("height", "kernel", "dilation"), [(1, 3, 1), (4, 5, 1), (1, 7, 1), (2, 3, 2)])
def test_gradients_over_one_column_are_guarded(height: int, kernel: int, dilation: int) -> None:
    """Without the guard, bf16 gradients on the CPU hold what lay in memory before."""
    layer = nn.Conv2d(16, 32, kernel, 2, dilation * (kernel - 1) // 2, dilation).to(
        memory_format=torch.channels_last
    )
    exact = copy.deepcopy(layer).double()
    guard_narrow_convolutions(layer)
    for _ in range(8):
        junk = [torch.full((1 << size,), math.nan) for size in range(10, 22)]
        del junk
        x = torch.randn(8, 16, height, 1)
        layer.zero_grad()
        exact.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            out = layer(x)
        out.float().square().sum().backward()
        exact(x.double()).square().sum().backward()
        assert layer.weight.grad is not None and exact.weight.grad is not None
        largest = exact.weight.grad.abs().max()
        assert (layer.weight.grad - exact.weight.grad).abs().max() < 0.05 * largest
    wide = torch.randn(1, 16, 6, 9)
    torch.testing.assert_close(layer(wide), exact(wide.double()).float(), rtol=1e-4, atol=1e-4)


def test_dropout_rates_outside_the_range_are_refused() -> None:
    with pytest.raises(ValueError, match="got 1"):
        Dropout(1.0)


@pytest.mark.parametrize("name", list(INITIALIZERS))
def test_initialization_has_its_variance(name: str) -> None:
    """M44: Xavier 2/(fan_in + fan_out), He 2/fan_in, torch 1/(3 fan_in)."""
    torch.manual_seed(0)
    layer = initialize(nn.Sequential(nn.Conv2d(64, 128, 3), nn.BatchNorm2d(128)), name)  # type: ignore[arg-type]
    fan_in, fan_out = 64 * 9, 128 * 9
    wanted = {"xavier": 2 / (fan_in + fan_out), "he": 2 / fan_in, "torch": 1 / (3 * fan_in)}[name]
    assert layer[0].weight.var().item() == pytest.approx(wanted, rel=0.03)
    assert layer[0].bias.abs().sum() == 0
    assert torch.equal(layer[1].weight, torch.ones(128))


def test_normalize_takes_bytes_and_has_no_parameters() -> None:
    pixels = torch.randint(0, 256, (4, 3, 5, 5), dtype=torch.uint8)
    mean, std = torch.rand(1, 3, 1, 1) * 255, torch.rand(1, 3, 1, 1) * 60 + 1
    layer = Normalize(mean, std)
    torch.testing.assert_close(layer(pixels), (pixels.float() - mean) / std, rtol=1e-4, atol=1e-5)
    assert not list(layer.parameters())
    assert set(layer.state_dict()) == {"mean", "std"}


def test_a_dense_layer_over_maps_starts_like_any_dense_layer() -> None:
    """M44: Xavier over 4608 inputs and 256 outputs, not over a convolution's fans."""
    torch.manual_seed(0)
    layer = initialize(FlattenLinear((32, 12, 12), 256), "xavier")
    assert layer.weight.abs().max().item() == pytest.approx((6 / (4608 + 256)) ** 0.5, rel=1e-3)
