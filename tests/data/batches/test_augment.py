from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from convnet.data import Augment, Loader, augment_batch, from_tensors
from convnet.data.batches.augment.color import hue_turned, luma, saturated
from convnet.data.batches.augment.policies import OPERATIONS
from convnet.types import Batch


def batch(n: int = 64, size: int = 9, channels: int = 2) -> Batch:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(1, 256, (n, channels, size, size), dtype=torch.uint8, generator=generator)
    return Batch(images, torch.arange(n) % 3, torch.arange(n))


SETTINGS = [
    Augment(flip=True),
    Augment(shift=2),
    Augment(pad_crop=3),
    Augment(flip=True, pad_crop=2, cutout=3),
    Augment(random_resized_crop=0.4, flip=True),
    Augment(cutout=4),
    Augment(mixup=0.4),
    Augment(cutmix=1.0),
    Augment(mixup=0.2, cutmix=1.0),
    Augment(rotate=20, translate=0.2, scale=0.3, shear=10),
    Augment(elastic=2),
    Augment(brightness=0.4, contrast=0.4),
    Augment(policy="trivial"),
    Augment(policy="rand"),
    Augment(erase=0.7),
]


@pytest.mark.parametrize("augment", SETTINGS, ids=str)
def test_same_seed_same_batch_and_values_stay_pixels(augment: Augment) -> None:
    original = batch()
    one, two, other = (augment_batch(original, augment, seed) for seed in (1, 1, 2))
    assert torch.equal(one.images, two.images)
    assert not torch.equal(one.images, other.images)
    assert one.images.shape == original.images.shape
    assert one.images.min() >= 0 and one.images.max() <= 255
    assert torch.equal(original.images, batch().images)


def test_crops_are_resized_to_another_size() -> None:
    """A gradient stays a gradient of the same range, in half as many pixels."""
    ramp = torch.arange(8.0).mul(30).expand(4, 3, 8, 8)
    original = Batch(ramp, torch.zeros(4), torch.arange(4))
    whole = augment_batch(original, Augment(random_resized_crop=0.9, resized_to=4), 1).images
    assert whole.shape == (4, 3, 4, 4)
    assert (whole.diff(dim=3) > 0).all() and whole.diff(dim=2).abs().max() < 1e-3
    assert whole.max() <= ramp.max() and whole.min() >= ramp.min()


def test_flips_are_mirror_images_of_about_half() -> None:
    original = batch(400)
    flipped = augment_batch(original, Augment(flip=True), 3).images
    mirrored = (flipped == original.images.flip(3)).flatten(1).all(1)
    same = (flipped == original.images).flatten(1).all(1)
    assert (mirrored ^ same).all()
    assert 140 < mirrored.sum() < 260


@settings(max_examples=20)
@given(st.integers(1, 4), st.integers(0, 99))
def test_a_shift_moves_by_up_to_n_pixels_and_zeros_move_in(reach: int, seed: int) -> None:
    original = batch(16)
    moved = augment_batch(original, Augment(shift=reach), seed).images
    padded = torch.nn.functional.pad(original.images, (reach,) * 4)
    side, offsets = original.images.shape[3], set()
    for image, field in zip(moved, padded, strict=True):
        places = [
            (y, x)
            for y in range(2 * reach + 1)
            for x in range(2 * reach + 1)
            if torch.equal(image, field[:, y : y + side, x : x + side])
        ]
        assert places
        offsets.update(places)
    assert len(offsets) > 1


def test_pad_crop_mirrors_the_border() -> None:
    moved = augment_batch(batch(32), Augment(pad_crop=3), 0).images
    assert (moved > 0).all()


def test_cutout_hides_a_square() -> None:
    original = batch(50)
    changed = (augment_batch(original, Augment(cutout=4), 0).images != original.images).any(1)
    assert changed.flatten(1).sum(1).max() <= 16
    assert changed.any()


def test_mixed_batches_carry_both_targets_and_the_share() -> None:
    original = batch(8)
    mixed = augment_batch(original, Augment(mixup=1.0), 5)
    assert mixed.mixed_targets is not None
    order = [
        next(j for j in range(8) if torch.allclose(
            mixed.images[i],
            original.images[i].float() * mixed.mix + original.images[j].float() * (1 - mixed.mix), atol=1e-3))
        for i in range(8)
    ]  # fmt: skip
    assert torch.equal(mixed.mixed_targets, original.targets[order])
    cut = augment_batch(original, Augment(cutmix=1.0), 6)
    kept = (cut.images == original.images).all(1).float().mean((1, 2))
    assert kept.min() == pytest.approx(cut.mix, abs=0.08)


def test_an_epoch_can_begin_anywhere_and_visits_every_sample_once() -> None:
    b = batch(50)
    dataset = from_tensors("s", b.images, b.targets, ("a", "b", "c"), [""] * 50)
    loader = Loader(dataset, torch.arange(5, 50), 8, seed=1, augment=Augment(flip=True, shift=1))
    whole = list(loader.epoch(3))
    assert len(whole) == loader.steps == 6
    assert sorted(torch.cat([x.indices for x in whole]).tolist()) == list(range(5, 50))
    tail = list(loader.epoch(3, first=2))
    assert all(torch.equal(a.images, b.images) for a, b in zip(whole[2:], tail, strict=True))
    assert not torch.equal(whole[0].indices, next(loader.epoch(4)).indices)
    assert Loader(dataset, torch.arange(41), 8, seed=1).steps == 5  # batch norm cannot use a batch of one
    assert Loader(dataset, torch.arange(41), 8).steps == 6


def test_hue_and_saturation_keep_the_grey_of_colors() -> None:
    colors = batch(16, channels=3).images.float() * 0.3 + 90
    half = torch.full((16,), 0.5)
    for change in (hue_turned(colors, half * 0.2), saturated(colors, half)):
        assert (luma(change) - luma(colors)).abs().max() < 0.5
        assert not torch.equal(change, colors)
    assert torch.allclose(hue_turned(colors, half * 0), colors, atol=1e-3)
    gray = torch.full((2, 3, 4, 4), 90.0)
    assert torch.allclose(hue_turned(gray, half[:2] * 0.3), gray, atol=1e-2)


def test_every_operation_of_the_policies_is_the_identity_at_no_strength() -> None:
    images = batch(4, 16, 3).images.float()
    still = torch.zeros(4)
    for operation in OPERATIONS:
        changed = operation(images, still, True)
        assert changed.shape == images.shape
        if operation.__name__ not in ("_autocontrast", "_equalize"):
            wrong = (changed - images).abs().max()
            assert wrong < 1e-2 or operation.__name__ == "_solarize", operation.__name__


def test_images_of_a_batch_draw_operations_of_their_own() -> None:
    one = batch(1, 16, 3)
    same = Batch(one.images.repeat(64, 1, 1, 1), torch.zeros(64, dtype=torch.int64), torch.arange(64))
    changed = augment_batch(same, Augment(policy="trivial"), 0).images
    assert len({image.numpy().tobytes() for image in changed}) > 30


def test_labels_are_no_maps() -> None:
    images = batch(8, 9, 3).images
    labels = torch.eye(8, 3)
    moved = augment_batch(
        Batch(images, labels, torch.arange(8)), Augment(flip=True, rotate=9, policy="rand"), 1
    )
    assert torch.equal(moved.targets, labels)
