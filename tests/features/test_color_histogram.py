"""Color histograms against NumPy (M05)."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from convnet.errors import ModelError
from convnet.features import FEATURES
from convnet.features.color_histogram import to_hsv


@given(st.integers(2, 9), st.sampled_from([1, 3]), st.floats(0, 3), st.integers(0, 99))
def test_a_histogram_sums_to_one(bins: int, channels: int, sigma: float, seed: int) -> None:
    images = torch.rand(3, channels, 7, 5, generator=torch.Generator().manual_seed(seed))
    found = FEATURES.build("color", channels, (7, 5), bins=bins, sigma=sigma)(images)
    assert found.shape == (3, bins**channels)
    assert (found >= 0).all()
    torch.testing.assert_close(found.sum(1), torch.ones(3))


@given(st.integers(2, 9), st.integers(0, 99))
def test_equal_to_numpy(bins: int, seed: int) -> None:
    images = torch.randint(0, 256, (2, 3, 9, 8), generator=torch.Generator().manual_seed(seed)) / 255
    found = FEATURES.build("color", 3, (9, 8), bins=bins)(images)
    for image, histogram in zip(images, found, strict=True):
        colors = image.permute(1, 2, 0).reshape(-1, 3).numpy()
        expected = np.histogramdd(colors, bins, [(0, 1)] * 3)[0] / len(colors)
        # At a bin's very edge NumPy may round the other way.
        assert np.abs(histogram.numpy() - expected.ravel()).sum() <= 2 * 3 / len(colors)


def test_smoothing_makes_near_colors_alike() -> None:
    """Two reds a bin apart: nothing in common raw, much in common smoothed, far from blue either way."""
    colors = torch.tensor([[0.70, 0, 0], [0.80, 0, 0], [0, 0, 1.0]])
    images = colors[:, :, None, None].expand(-1, -1, 4, 4)

    def overlap(sigma: float, other: int) -> float:
        found = FEATURES.build("color", 3, (4, 4), sigma=sigma)(images)
        return float(torch.minimum(found[0], found[other]).sum())

    assert overlap(0.0, 1) == 0
    assert overlap(1.0, 1) > 0.5
    assert overlap(1.0, 2) < 0.01


def test_hue_goes_round() -> None:
    """Two reds of hue just above 0 and just below 1 are neighbors."""
    colors = torch.tensor([[1.0, 0.05, 0], [1.0, 0, 0.05], [0, 1.0, 1.0]])
    images = colors[:, :, None, None].expand(-1, -1, 2, 2)
    found = FEATURES.build("color", 3, (2, 2), space="hsv", sigma=1.0)(images)
    assert float(torch.minimum(found[0], found[1]).sum()) > 0.5
    assert float(torch.minimum(found[0], found[2]).sum()) < 0.2


def test_hsv_is_the_standard_librarys() -> None:
    images = torch.randint(0, 8, (1, 3, 40, 40), generator=torch.Generator().manual_seed(0)) / 7
    found = to_hsv(images)[0].flatten(1).t().tolist()
    expected = [colorsys.rgb_to_hsv(*pixel) for pixel in images[0].flatten(1).t().tolist()]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_gray_images_have_no_hue() -> None:
    with pytest.raises(ModelError, match="gray images have no hue"):
        FEATURES.build("color", 1, (8, 8), space="hsv")
    with pytest.raises(ModelError, match="got 4 channels"):
        FEATURES.build("color", 4, (8, 8))
