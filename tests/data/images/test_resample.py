"""Resizing in NumPy gives the same pixels as torch."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch.nn import functional as F

from convnet.data.images.resample import Interpolation, resample

SIDES = st.integers(1, 90)


def by_torch(pixels: np.ndarray, size: tuple[int, int], interpolation: Interpolation) -> np.ndarray:
    images = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    resized = F.interpolate(images, size=size, mode=interpolation, antialias=True)
    return np.asarray(resized[0].permute(1, 2, 0))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@given(
    pixels=arrays.arrays(np.uint8, st.tuples(SIDES, SIDES, st.integers(1, 4))),
    size=st.tuples(SIDES, SIDES),
)
def test_pixels_are_those_of_torch(
    pixels: np.ndarray, size: tuple[int, int], interpolation: Interpolation
) -> None:
    assert np.array_equal(resample(pixels, size, interpolation), by_torch(pixels, size, interpolation))


@pytest.mark.parametrize("size", [(1000, 3), (224, 224), (3, 700)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_noise_is_reduced_and_enlarged_alike(size: tuple[int, int], interpolation: Interpolation) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1640, 1361, 3), dtype=np.uint8)  # several bands
    assert np.array_equal(resample(noise, size, interpolation), by_torch(noise, size, interpolation))


def test_resizing_does_not_import_torch() -> None:
    program = (
        "import sys, numpy as np; from convnet.data.images.resize import Resizing, resize; "
        "found = resize(np.zeros((50, 60, 3), np.uint8), (8, 8), Resizing('crop')); "
        "print(found.shape, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(8, 8, 3) False"
