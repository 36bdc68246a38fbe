"""What befalls images: pixels stay pixels, the same draws give the same, and each does what it says."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from convnet.data.images import degrade
from convnet.tasks import TASKS
from convnet.types import Batch

IMAGE_TASKS = ["denoise", "deblur", "inpaint", "colorize", "super-resolution", "reconstruct"]


def photos(n: int = 2, height: int = 20, width: int = 30) -> Batch:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (n, 3, height, width), generator=generator, dtype=torch.uint8)
    return Batch(images, torch.zeros(n, dtype=torch.int64), torch.arange(n))


@pytest.mark.parametrize("name", IMAGE_TASKS)
def test_every_task_makes_pairs(name: str) -> None:
    """Inputs are whole pixels of 0…255, targets the image in 0…1; without a seed, always the same."""
    task = TASKS.build(name)
    batch = photos()
    pair = task.transform(batch, 7)
    assert pair.images.shape == batch.images.shape
    assert torch.equal(pair.images, pair.images.round().clamp(0, 255))
    assert torch.equal(pair.targets, batch.images / 255)
    assert torch.equal(task.transform(batch, 7).images, pair.images)
    still = task.transform(batch, None).images
    alone = Batch(batch.images[1:], batch.targets[1:], batch.indices[1:])
    assert torch.equal(task.transform(alone, None).images, still[1:])


@settings(max_examples=25)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from(IMAGE_TASKS))
def test_any_size(height: int, width: int, name: str) -> None:
    pair = TASKS.build(name).transform(photos(1, height, width), 0)
    assert pair.images.shape == (1, 3, height, width) and pair.images.isfinite().all()


def test_noise_has_the_deviation_it_says() -> None:
    gray = Batch(torch.full((1, 1, 200, 200), 128, dtype=torch.uint8), torch.zeros(1), torch.arange(1))
    noise = degrade.degraded(gray, degrade.noisy("gaussian", 25, 0), 0) - 128
    assert noise.std().item() == pytest.approx(25, rel=0.02) and abs(noise.mean().item()) < 0.5
    salt = degrade.degraded(gray, degrade.noisy("salt-and-pepper", 0, 0.2), 0)
    assert [(salt == value).float().mean().item() for value in (0, 128, 255)] == pytest.approx(
        [0.1, 0.8, 0.1], abs=0.01
    )


@pytest.mark.parametrize("sigma", [0.6, 2.0])
def test_blur_is_that_of_scipy(sigma: float) -> None:
    image = photos(1).images[0, 0].double()
    expected = ndimage.gaussian_filter(image.numpy(), sigma, mode="mirror", radius=round(4 * sigma))
    found = degrade.gaussian_blur(image[None, None], sigma)[0, 0]
    torch.testing.assert_close(found, torch.from_numpy(expected))


def test_what_is_lost() -> None:
    batch = photos(1, 40, 40)
    holes = degrade.degraded(batch, degrade.holed(3, 0.25), 1)
    lost = (holes != batch.images).any(1)
    assert (holes[:, :, lost[0]] == degrade.HOLE).all() and 0 < lost.float().mean() < 3 * 0.25**2 + 0.01
    gray = degrade.gray(batch.images.float())
    assert torch.equal(gray[:, 0], gray[:, 2])
    pixel = torch.tensor([200.0, 100.0, 50.0]).view(1, 3, 1, 1)
    assert degrade.gray(pixel)[0, 0].item() == round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)
    small = degrade.degraded(batch, degrade.small(2), None)
    assert small.shape == batch.images.shape and not torch.equal(small, batch.images.float())
