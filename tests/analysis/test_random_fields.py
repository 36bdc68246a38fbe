"""Receptive fields of random networks: the layer table against what torch's own operations pass on.

Every layer is linear (or a maximum of absolute values), so an impulse in one row of the input shows in every
output row that depends on it: one forward of H impulses measures all H' rows at once, without gradients.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from math import floor

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convnet.analysis.inputs import Inputs
from convnet.analysis.reach import Reach
from convnet.analysis.trace import trace
from convnet.meta import on_meta

SHAPE = (36, 31)
NOISE = 1e-10  # far above rounding, far below a product of interpolation weights
ROUNDING = 1e-13
Interval = tuple[int, int]
Reads = Callable[[int], Interval]
"""The first and last place of its input that place i of a layer may read (never less than it does read)."""


@dataclass
class Part:
    """A layer, its description, and what it reads along both sides, as a cautious interval."""

    module: nn.Module
    text: str
    reads: tuple[Reads, Reads]
    kind: str


class Function(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class Plus(nn.Module):
    """x + body(x)."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.body(x)
        return out


def _window(k: int, s: int, p: int, d: int = 1) -> Reads:
    return lambda i: (i * s - p, i * s - p + d * (k - 1))


def _transposed(k: int, s: int, p: int, d: int) -> Reads:
    return lambda i: ((i + p - d * (k - 1)) // s, (i + p) // s)


def _resized(step: float, aligned: bool) -> Reads:
    shift = 0.0 if aligned else (step - 1) / 2
    return lambda i: (int(i * step + shift) - 3, int(i * step + shift) + 4)


def _nearest(step: Fraction, half: Fraction) -> Reads:
    """As `_resized`; places whose source torch misses by rounding in float32 count as touching a border."""

    def reads(i: int) -> Interval:
        exact = floor((i + half) * step)
        rounded = floor(np.float32(i + half) * np.float32(step))
        return (exact, exact) if exact == rounded else (-1, -1)

    return reads


def draw_part(rng: random.Random, size: tuple[int, int]) -> Part:
    """A random layer of one channel in and one out, for maps of `size`."""
    kind = rng.choice([
        "conv", "conv", "conv", "avg", "max", "up", "nearest", "nearest-exact", "bilinear", "bicubic",
        "bilinear", "bicubic", "shuffle", "unshuffle", "crop", "crop", "pad", "slice", "residual",
    ])  # fmt: skip

    def pair(low: int, high: int) -> tuple[int, int]:
        return rng.randint(low, high), rng.randint(low, high)

    if kind == "conv":
        k, s, p, d = pair(1, 4), pair(1, 3), pair(0, 2), pair(1, 2)
        return Part(
            nn.Conv2d(1, 1, k, s, p, d, bias=False), f"conv k{k} s{s} p{p} d{d}",
            (_window(k[0], s[0], p[0], d[0]), _window(k[1], s[1], p[1], d[1])), kind,
        )  # fmt: skip
    if kind in ("avg", "max"):
        k, s = pair(1, 3), pair(1, 3)
        p, ceil = (rng.randint(0, k[0] // 2), rng.randint(0, k[1] // 2)), rng.random() < 0.3
        reads = (_window(k[0], s[0], p[0]), _window(k[1], s[1], p[1]))
        if kind == "avg":
            return Part(nn.AvgPool2d(k, s, p, ceil), f"avg k{k} s{s} p{p} ceil={ceil}", reads, kind)
        pool = Function(lambda x: F.max_pool2d(x.abs(), k, s, p, 1, ceil))
        return Part(pool, f"max k{k} s{s} p{p} ceil={ceil}", reads, kind)
    if kind == "up":
        k, s, d = pair(1, 4), pair(1, 3), pair(1, 2)
        p, extra = pair(0, 2), (rng.randint(0, max(s[0], d[0]) - 1), rng.randint(0, max(s[1], d[1]) - 1))
        return Part(
            nn.ConvTranspose2d(1, 1, k, s, p, extra, 1, False, d), f"up k{k} s{s} p{p} +{extra} d{d}",
            (_transposed(k[0], s[0], p[0], d[0]), _transposed(k[1], s[1], p[1], d[1])), kind,
        )  # fmt: skip
    if kind in ("nearest", "nearest-exact", "bilinear", "bicubic"):
        aligned = rng.random() < 0.5 if kind.startswith("bi") else None
        options = {} if aligned is None else {"align_corners": aligned}
        if rng.random() < 0.5:
            factor = rng.choice([0.5, 0.75, 1.5, 2.0, 3.0, 1.7, 4 / 3])
            module = Function(lambda x: F.interpolate(x, scale_factor=factor, mode=kind, **options))
            new = tuple(int(n * factor) for n in size)
            steps = [1 / factor] * 2
            text = f"{kind} ×{factor:.3g}"
        else:
            new = (rng.randint(5, 60), rng.randint(5, 60))
            target = new
            module = Function(lambda x: F.interpolate(x, size=target, mode=kind, **options))
            steps = [a / b for a, b in zip(size, new, strict=True)]
            text = f"{kind} {size} → {new}"
        if aligned:
            steps = [(a - 1) / max(1, b - 1) for a, b in zip(size, new, strict=True)]
        if kind.startswith("nearest"):
            half = Fraction(int(kind == "nearest-exact"), 2)
            first, second = (_nearest(Fraction(step).limit_denominator(1000), half) for step in steps)
        else:
            first, second = (_resized(step, bool(aligned)) for step in steps)
        return Part(module, f"{text} aligned={aligned}", (first, second), kind)
    if kind == "shuffle":
        f = rng.randint(2, 3)
        shuffle = nn.Sequential(nn.Conv2d(1, f * f, 1, bias=False), nn.PixelShuffle(f))
        reads_one: Reads = lambda i: (i // f, i // f)  # noqa: E731
        return Part(shuffle, f"shuffle {f}", (reads_one, reads_one), kind)
    if kind == "unshuffle":
        f = rng.randint(2, 3)
        unshuffle = nn.Sequential(
            Function(lambda x: x[..., : x.shape[-2] // f * f, : x.shape[-1] // f * f]),
            nn.PixelUnshuffle(f), nn.Conv2d(f * f, 1, 1, bias=False),
        )  # fmt: skip
        return Part(unshuffle, f"unshuffle {f}", (_window(f, f, 0),) * 2, kind)
    if kind in ("crop", "pad"):
        low, high = (-4, 0) if kind == "crop" else (0, 3)
        top, bottom, left, right = (rng.randint(low, high) for _ in range(4))
        mode = rng.choice(["constant", "replicate", "reflect"]) if kind == "pad" else "constant"
        module = Function(lambda x: F.pad(x, (left, right, top, bottom), mode=mode))
        reads = (_window(1, 1, top), _window(1, 1, left))
        return Part(module, f"{kind} {mode} rows {top},{bottom} columns {left},{right}", reads, kind)
    if kind == "slice":
        a, s = pair(0, 3), pair(1, 3)
        module = Function(lambda x: x[:, :, a[0] :: s[0], a[1] :: s[1]])
        return Part(module, f"slice {a}::{s}", (_window(1, s[0], -a[0]), _window(1, s[1], -a[1])), kind)
    h = rng.choice([1, 2])
    return Part(
        Plus(nn.Conv2d(1, 1, 2 * h + 1, padding=h, bias=False)), f"residual k{2 * h + 1}",
        (_window(2 * h + 1, 1, h),) * 2, kind,
    )  # fmt: skip


@dataclass
class Network:
    parts: list[Part]
    sizes: list[tuple[int, int]] = field(default_factory=lambda: [SHAPE])

    @property
    def module(self) -> nn.Sequential:
        return nn.Sequential(*(part.module for part in self.parts))

    def inner_places(self, side: int) -> list[int]:
        """Places of the output that touch no border of any map on the way.

        Elsewhere the table counts what places outside of the maps would have seen, by its definition.
        """
        touched = [False] * self.sizes[0][side]
        for part, size in zip(self.parts, self.sizes[1:], strict=True):
            last, marks = len(touched) - 1, []
            for place in range(size[side]):
                low, high = part.reads[side](place)
                marks.append(low < 0 or high > last or any(touched[low : high + 1]))
            touched = marks
        return [place for place, mark in enumerate(touched) if not mark]


def draw_network(rng: random.Random, depth: int = 5, largest: int = 90) -> Network | None:
    """A random network; None if nothing is left of the map, or it grows too large."""
    network, x = Network([]), torch.zeros(1, 1, *SHAPE)
    for _ in range(rng.randint(1, depth)):
        part = draw_part(rng, network.sizes[-1])
        try:
            with torch.no_grad():
                x = part.module(x)
        except (RuntimeError, ValueError):
            continue
        if min(x.shape[2:]) < 1 or max(x.shape[2:]) > largest:
            return None
        network.parts.append(part)
        network.sizes.append((x.shape[2], x.shape[3]))
    return network if network.parts else None


def measured(network: Network) -> tuple[Tensor, Tensor]:
    """How strongly output rows depend on input rows, and columns on columns: H×H' and W×W'."""
    module = network.module.double().eval()
    height, width = SHAPE
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.rand_like(parameter) + 0.5)
        x = torch.zeros(height + width, 1, height, width, dtype=torch.float64)
        noise = torch.rand(height, width, dtype=torch.float64) + 0.5  # so that bicubic weights do not cancel
        for row in range(height):
            x[row, 0, row] = noise[row]
        for column in range(width):
            x[height + column, 0, :, column] = noise[:, column]
        out = module(x)[:, 0].abs()
    return out[:height].sum(2), out[height:].sum(1)


UNKNOWN = "unknown"
"""The table gives no size where resizes by odd factors have a period of thousands of positions."""


def disagreements(network: Network) -> list[str]:
    """The places, sizes and offsets in which the table and the measurement differ."""
    inputs = Inputs({"0": (1, *SHAPE)}, torch.float32)
    found = trace(on_meta(network.module.float()), inputs).call.field
    assert found is not None
    both = measured(network)
    if not all(strengths.any() for strengths in both):
        return []  # strides that only meet the gaps of an up-convolution: nothing is left along one side
    wrong = []
    for side, strengths in enumerate(both):
        reach = found.reaches[side]
        places = network.inner_places(side)
        wrong += [UNKNOWN] if reach is None else _differences(reach, strengths, places)
    return wrong


def _differences(reach: Reach, strengths: Tensor, places: list[int]) -> list[str]:
    # A weight of zero is computed as 1e-16 where a position falls on a pixel; some places see nothing else.
    counted = strengths > torch.maximum(NOISE * strengths.amax(0), ROUNDING * strengths.max())
    wrong, sizes, centers = [], [0], dict[int, float]()
    for place in places:
        pixels = counted[:, place].nonzero().flatten().tolist()
        low, high = reach.at(place)
        if pixels:
            sizes.append(pixels[-1] - pixels[0] + 1)
            centers[place] = (pixels[0] + pixels[-1]) / 2
        if (pixels and (low, high) != (pixels[0], pixels[-1])) or (not pixels and low <= high):
            wrong.append(f"place {place}: table {(low, high)}, measured {pixels[:1] + pixels[-1:]}")
    phases = {place % reach.period: place for place in places}
    if len(phases) < reach.period:
        return wrong  # no whole period was seen
    if max(sizes) != reach.size:
        wrong.append(f"size {reach.size} in the table, {max(sizes)} measured")
    shifts = [centers[place] - place * reach.jump for place in phases.values() if place in centers]
    if shifts and abs(sum(shifts) / len(shifts) - reach.start) > 1e-9:
        wrong.append(f"offset {reach.start} in the table, {sum(shifts) / len(shifts)} measured")
    return wrong


@pytest.mark.parametrize("count", [200, pytest.param(1000, marks=pytest.mark.slow)])
def test_fields_of_random_networks(count: int) -> None:
    torch.manual_seed(count)
    rng, checked, unknown = random.Random(count), 0, 0
    while checked < count:
        network = draw_network(rng)
        if network is not None:
            checked += 1
            text = "; ".join(part.text for part in network.parts)
            found = disagreements(network)
            unknown += UNKNOWN in found
            wrong = [line for line in found if line != UNKNOWN]
            assert not wrong, f"{text}: {wrong[:3]}"
    assert unknown <= count / 500, "patterns that hardly ever repeat are rare"


def test_centers_lie_on_average_at_offset_and_jump() -> None:
    """Bilinear ×2 behind a stride: neighbors share pixels, so a single place says little about the others."""
    network = nn.Sequential(nn.Conv2d(1, 1, 3, 4, 1), nn.Upsample(scale_factor=2, mode="bilinear"))
    found = trace(on_meta(network), Inputs({"0": (1, 32, 32)}, torch.float32)).call.field
    reach = found.reaches[0] if found is not None else None
    assert reach is not None
    centers = [reach.center(place) - place * reach.jump for place in range(reach.period)]
    assert reach.start == pytest.approx(sum(centers) / len(centers))


def test_periods_that_multiply_are_given_up() -> None:
    sizes = (37, 41, 43, 47)
    parts = [part for size in sizes for part in (nn.Upsample(size), nn.Conv2d(1, 1, 2))]
    found = trace(on_meta(nn.Sequential(*parts)), Inputs({"0": (1, 32, 32)}, torch.float32)).call.field
    assert found is not None and found.reaches == (None, None)
