"""Intervals, robustness, slices, paired comparisons and the confusion order."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import binomtest
from torch import nn

from convnet.data import Preprocess, from_tensors, open_data
from convnet.data.images.corruptions import CORRUPTIONS, STRENGTHS, corrupted
from convnet.evaluation import compare_paired, measure_robustness, measure_slices
from convnet.reports.figures import confusion_order
from convnet.tasks import ClassificationResult
from convnet.tasks.image_to_image import ImageResult
from convnet.tasks.intervals import (
    Counts,
    balanced_accuracies,
    bootstrap_confusion,
    f1_scores,
    wilson,
)
from convnet.tasks.multi_label import MultiLabelResult
from convnet.tasks.segmentation import SegmentationResult


def result(predicted: list[int], targets: list[int], classes: int = 2) -> ClassificationResult:
    logits = 5 * torch.nn.functional.one_hot(torch.tensor(predicted), classes).float()
    return ClassificationResult(0.0, logits, torch.tensor(targets), torch.arange(len(targets)))


def test_wilson_is_that_of_the_definition() -> None:
    """The published example: 81 of 263 (Newcombe 1998) has 0.2553 to 0.3662."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 0) is None
    for successes, trials in ((0, 5), (5, 5), (3, 7), (9000, 10_000)):
        expected = binomtest(successes, trials).proportion_ci(method="wilson")
        assert wilson(successes, trials) == pytest.approx((expected.low, expected.high))


def test_bootstrapped_intervals_cover_what_resampling_of_samples_gives() -> None:
    generator = np.random.default_rng(0)
    targets = generator.integers(0, 3, 400)
    predicted = np.where(generator.random(400) < 0.7, targets, generator.integers(0, 3, 400))
    confusion = np.zeros((3, 3), np.int64)
    np.add.at(confusion, (targets, predicted), 1)
    drawn = []
    for _ in range(1000):
        chosen = generator.integers(0, 400, 400)
        matrix = np.zeros((3, 3), np.int64)
        np.add.at(matrix, (targets[chosen], predicted[chosen]), 1)
        counts = Counts(matrix.diagonal()[None], matrix.sum(1)[None], matrix.sum(0)[None])
        drawn.append(np.concatenate([balanced_accuracies(counts)[0], f1_scores(counts)[0]]))
    expected = np.percentile(drawn, (2.5, 97.5), axis=0)
    both = [bootstrap_confusion(confusion, figure) for figure in (balanced_accuracies, f1_scores)]
    assert np.allclose(np.concatenate(both, 1), expected, atol=0.015)


def test_intervals_of_means_are_those_of_the_central_limit_theorem() -> None:
    """The PSNR of images, with means over more samples than are drawn at once."""
    figures = torch.randn(20_000, 5, generator=torch.Generator().manual_seed(0)) + 30
    found = ImageResult(0.0, figures, torch.arange(len(figures))).intervals()
    for name, column in (("psnr", 1), ("ssim", 3)):
        mean, error = float(figures[:, column].mean()), float(figures[:, column].std()) / len(figures) ** 0.5
        assert found[name] == pytest.approx((mean - 1.96 * error, mean + 1.96 * error), abs=0.25 * error)


def test_intervals_of_masks_and_labels_cover_what_resampling_of_samples_gives() -> None:
    generator = torch.Generator().manual_seed(0)
    confusions = torch.randint(0, 50, (40, 3, 3), generator=generator) + 60 * torch.eye(3, dtype=torch.int64)
    classes, indices = ("a", "b", "c"), torch.arange(40)
    targets = (torch.rand(40, 3, generator=generator) < 0.5).float()
    logits = targets + torch.randn(40, 3, generator=generator)
    half = torch.full((3,), 0.5)

    def masks(chosen: torch.Tensor) -> SegmentationResult:
        return SegmentationResult(0.0, confusions[chosen], chosen, classes)

    def labels(chosen: torch.Tensor) -> MultiLabelResult:
        return MultiLabelResult(0.0, logits[chosen], targets[chosen], chosen, classes, half)

    drawn = [torch.randint(0, 40, (40,), generator=generator) for _ in range(500)]
    for make, keys in ((masks, ("pixel_accuracy", "mean_iou", "mean_dice")), (labels, ("f1",))):
        scores = [make(chosen).scores() for chosen in drawn]
        found = make(indices).intervals()
        assert found.keys() == {*keys}
        for key in keys:
            expected = np.percentile([row[key] for row in scores], (2.5, 97.5))
            width = expected[1] - expected[0]
            assert found[key] == pytest.approx(tuple(expected), abs=0.2 * width)


def test_classes_that_never_occur_do_not_count_in_intervals() -> None:
    confusions = torch.zeros(6, 3, 3, dtype=torch.int64)
    confusions[:, 0, 0] = torch.arange(1, 7)
    found = SegmentationResult(0.0, confusions, torch.arange(6), ("a", "b", "c"))
    assert found.intervals() == {"pixel_accuracy": (1, 1), "mean_iou": (1, 1), "mean_dice": (1, 1)}
    assert SegmentationResult(None, 0 * confusions, torch.arange(6), ("a", "b", "c")).intervals() == {}


def test_top_5_counts_the_five_most_probable() -> None:
    logits = torch.arange(8.0).repeat(8, 1)
    found = ClassificationResult(0.0, logits, torch.arange(8), torch.arange(8))
    assert found.top5 == 5 / 8 and found.accuracy == 1 / 8


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 20)])
def test_corruptions_grow_with_their_strength(name: str, shape: tuple[int, int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    coarse = 255 * torch.rand(4, shape[0], 5, 5, generator=generator)
    images = nn.functional.interpolate(coarse, shape[1:], mode="bicubic").clamp(0, 255).round()
    changes = []
    for strength in range(1, STRENGTHS + 1):
        found = corrupted(images, name, strength, seed=1)
        assert found.shape == images.shape and 0 <= float(found.min()) <= float(found.max()) <= 255
        assert torch.equal(found, corrupted(images, name, strength, seed=1))
        changes.append(float((found - images).abs().mean()))
    assert changes[0] > 0 and changes[-1] > 1.5 * changes[0]
    assert all(b > 0.9 * a for a, b in pairwise(changes))


class Bright(nn.Module):
    """Says 1 for images with a mean above the middle."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        mean = images.float().flatten(1).mean(1)
        return torch.stack([127.5 - mean, mean - 127.5], 1)


def test_robustness_of_a_network_that_sees_brightness_only() -> None:
    images = torch.cat([torch.full((50, 1, 16, 16), 100), torch.full((50, 1, 16, 16), 155)]).byte()
    dataset = from_tensors("two", images, torch.arange(100) // 50, ("dark", "bright"), [""] * 100)
    rows = measure_robustness(Bright(), dataset, torch.arange(100))
    found = {(row.corruption, row.strength): row.accuracy for row in rows}
    assert found["none", 0] == found["blur", 5] == found["rotation", 5] == found["noise", 1] == 1
    assert found["brightness", 1] == 1 and found["brightness", 3] < 0.75
    assert all(row.samples == 100 and row.interval == wilson(round(100 * row.accuracy), 100) for row in rows)


def test_slices_by_size_shape_brightness_and_group(tmp_path: Path) -> None:
    for i in range(40):
        size = (40, 20) if i % 2 else (80, 160)
        value = 20 if i < 20 else 220
        path = tmp_path / ("a" if i % 2 else "b") / f"{i:02}.png"
        path.parent.mkdir(exist_ok=True)
        pixels = np.full((*size, 3), value, np.uint8)
        pixels[0, 0] = i
        Image.fromarray(pixels).save(path)
    dataset = open_data(str(tmp_path), Preprocess(image_size=16))
    right = [label == 0 for label in dataset.targets.tolist()]  # only the small portraits
    predicted = [0] * len(right)
    found = measure_slices(result(predicted, dataset.targets.tolist()), dataset)
    by = {(part.property, part.label): part for part in found}
    assert by["shape", "portrait"].accuracy == 1 and by["shape", "landscape"].accuracy == 0
    small, large = [part.accuracy for part in found if part.property == "size"]
    assert (small, large) == (1, 0)
    assert sum(part.samples for part in found if part.property == "brightness") == len(right)
    assert not [part for part in found if part.property == "group"]


def test_a_paired_comparison_is_mcnemars_test() -> None:
    targets = [0] * 30
    first = result([0] * 20 + [1] * 10, targets)
    second = torch.tensor([0] * 12 + [1] * 8 + [0] * 2 + [1] * 8)
    found = compare_paired("other", first, second, ("a", "b"), [f"{i}.png" for i in range(30)])
    assert (len(found.gained), len(found.lost)) == (8, 2)
    assert found.p_value == pytest.approx(binomtest(8, 10).pvalue)
    assert found.accuracies == pytest.approx((20 / 30, 14 / 30))
    assert [change.path for change in found.lost] == ["20.png", "21.png"]
    same = compare_paired("same", first, first.predicted, ("a", "b"), [""] * 30)
    assert same.p_value == 1 and not same.changes


def test_confused_classes_are_neighbors() -> None:
    counts = np.diag([50] * 6)
    counts[0, 5] = counts[5, 0] = 20
    counts[1, 3] = 15
    order = confusion_order(counts)
    assert sorted(order) == list(range(6))
    assert abs(order.index(0) - order.index(5)) == 1 and abs(order.index(1) - order.index(3)) == 1
    assert confusion_order(np.diag([5, 5, 5])) == [0, 1, 2]
    assert confusion_order(np.array([[5, 0, 1], [0, 5, 0], [1, 0, 5]])) == [0, 1, 2]  # too few errors
