from __future__ import annotations

import numpy as np
import pytest
import torch

from convnet.data.datasets.dataset import Dataset
from convnet.data.datasets.statistics import pixel_statistics
from convnet.data.datasets.tensor_dataset import from_tensors
from convnet.errors import DataError


def dataset(images: torch.Tensor, **facts: object) -> Dataset:
    count = len(images)
    return from_tensors("s", images, torch.arange(count) % 2, "ab", [str(i) for i in range(count)], **facts)


IMAGES = torch.randint(0, 256, (30, 3, 5, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("normalize", "axes"), [("channel", (0, 2, 3)), ("pixel", (0,))])
def test_mean_and_deviation_of_the_chosen_images(normalize: str, axes: tuple[int, ...]) -> None:
    chosen = torch.arange(0, 30, 2)
    mean, std = pixel_statistics(dataset(IMAGES), chosen, normalize)  # type: ignore[arg-type]
    pixels = IMAGES[chosen].double().numpy()
    np.testing.assert_allclose(mean, pixels.mean(axes, keepdims=True), rtol=1e-5)
    np.testing.assert_allclose(std, pixels.std(axes, keepdims=True), rtol=1e-4)


def test_values_after_the_end_of_a_series_do_not_count() -> None:
    series = torch.tensor([[1.0, 3.0, torch.nan], [5.0, 7.0, 9.0]]).view(2, 1, 1, 3)
    mean, std = pixel_statistics(dataset(series, modality="series"), torch.arange(2), "channel")
    assert mean.item() == 5 and std.item() == pytest.approx(8**0.5)


def test_a_constant_column_becomes_zero() -> None:
    table = torch.tensor([[4.0, 1.0], [4.0, 3.0]]).view(2, 2, 1, 1)
    mean, std = pixel_statistics(dataset(table, modality="table"), torch.arange(2), "channel")
    normalized = (table - mean) / std
    assert normalized.flatten(1).tolist() == [[0, -1], [0, 1]]


def test_imagenet_statistics_need_color() -> None:
    with pytest.raises(DataError, match="imagenet needs color images"):
        pixel_statistics(dataset(IMAGES[:, :1]), torch.arange(3), "imagenet")
