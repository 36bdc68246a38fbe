"""The contract of the features: registering one is testing it."""

from __future__ import annotations

import pytest
import torch

from convnet.features import FEATURES, Features
from convnet.layers import Fitted


def build(name: str, channels: int, size: tuple[int, int]) -> torch.nn.Module:
    """The feature, fitted where it has something to learn, for points where it takes points."""
    options = {"words": 12, "patches": 500} if name == "visual-words" else {}
    feature = FEATURES.build(name, channels, size, **options)
    if isinstance(feature, Fitted):
        images = torch.rand(20, channels, *size, generator=torch.Generator().manual_seed(1))
        feature.fit(lambda: [(images[:8], torch.zeros(8)), (images[8:], torch.zeros(12))], None)
    return feature


def shapes(name: str) -> list[tuple[int, tuple[int, int]]]:
    return [(2, (1, 1))] if name == "polar" else [(1, (16, 16)), (3, (32, 24)), (3, (70, 70))]


@pytest.mark.parametrize("name", [name for name in FEATURES if name != "encoder"])  # which needs a run
def test_every_feature(name: str) -> None:
    """N×C×H×W → N×D with D as announced, image by image, the same every time, without gradients."""
    for channels, size in shapes(name):
        feature = build(name, channels, size)
        images = torch.rand(5, channels, *size, generator=torch.Generator().manual_seed(0))
        numbers = feature(images)
        assert numbers.shape == (5, feature.out_features)
        assert torch.isfinite(numbers).all()
        assert not numbers.requires_grad
        assert not list(feature.parameters())
        torch.testing.assert_close(torch.cat([feature(image[None]) for image in images]), numbers)
        assert torch.equal(feature(images), numbers)
        assert FEATURES[name].__doc__


def test_features_side_by_side() -> None:
    """M08: the numbers of one after those of the other, as an image of one pixel."""
    images = torch.rand(4, 3, 32, 32)
    hog, color = build("hog", 3, (32, 32)), build("color", 3, (32, 32))
    both = Features([hog, color])
    assert both.out_features == hog.out_features + color.out_features
    with torch.autocast("cpu", torch.bfloat16):
        found = both(images)
    assert found.shape == (4, both.out_features, 1, 1)
    assert torch.equal(found[:, :, 0, 0], torch.cat([hog(images), color(images)], 1))


def test_polar_coordinates() -> None:
    """M04: (x, y) → (r, θ)."""
    points = torch.tensor([[1.0, 0], [0, 2], [-3, 0], [0, -1]])[:, :, None, None]
    found = build("polar", 2, (1, 1))(points)
    torch.testing.assert_close(found, torch.tensor([[1, 0], [2, 0.5], [3, 1], [1, -0.5]]))
