"""Metrics and crops of masks and images, against values worked out by hand."""

from __future__ import annotations

import pytest
import torch

from convnet.tasks.dense import center_crop
from convnet.tasks.image_to_image import psnr
from convnet.tasks.segmentation import SegmentationResult


def test_scores_of_a_segmentation() -> None:
    # Two images of four pixels; the class "c" does not occur.
    confusions = torch.tensor([[[3, 0, 0], [0, 1, 0], [0, 0, 0]], [[0, 0, 0], [1, 3, 0], [0, 0, 0]]])
    scores = SegmentationResult(0.5, confusions, torch.arange(2), ("a", "b", "c")).scores()
    assert scores["pixel_accuracy"] == 7 / 8
    assert scores["iou"] == {"a": 3 / 4, "b": 4 / 5, "c": None}
    assert scores["dice"] == {"a": pytest.approx(6 / 7), "b": pytest.approx(8 / 9), "c": None}
    assert scores["mean_iou"] == pytest.approx((3 / 4 + 4 / 5) / 2)


def test_psnr_of_an_error_of_a_tenth_is_20_decibels() -> None:
    images = torch.stack([torch.full((3, 4, 4), 0.6), torch.full((3, 4, 4), 0.51)])
    assert psnr(images, torch.full((2, 3, 4, 4), 0.5)).tolist() == pytest.approx([20, 40], abs=1e-3)


@pytest.mark.parametrize(("size", "first"), [((4, 5), (1, 0)), ((3, 3), (1, 1)), ((6, 5), (0, 0))])
def test_center_crop(size: tuple[int, int], first: tuple[int, int]) -> None:
    rows, columns = torch.meshgrid(torch.arange(6), torch.arange(5), indexing="ij")
    targets = torch.stack([rows, columns])
    cropped = center_crop(targets, torch.zeros(1, 2, *size))
    assert cropped.shape == (2, *size)
    assert tuple(cropped[:, 0, 0].tolist()) == first
