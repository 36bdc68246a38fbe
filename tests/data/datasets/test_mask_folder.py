"""Folders of images and masks, of pairs, of photos."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from convnet.data import Augment, Loader, Preprocess, augment_batch, open_data, read_sample
from convnet.errors import DataError
from convnet.targets import MASK
from convnet.types import IGNORED, Batch

TRUTH = np.array([[0, 1, 2], [2, 1, 0]])


def write(path: Path, image: Image.Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def pictures(root: Path, names: tuple[str, ...] = ("a", "b", "c"), size: tuple[int, int] = (3, 2)) -> None:
    for name in names:
        write(root / "images" / f"{name}.jpg", Image.new("RGB", size, "green"))


def masks(root: Path, make: Callable[[], Image.Image], suffix: str = "_mask") -> None:
    for name in ("a", "b", "c"):
        write(root / "masks" / f"{name}{suffix}.png", make())


def palette() -> Image.Image:
    image = Image.fromarray(TRUTH.astype(np.uint8), "P")
    image.putpalette([9, 9, 9, 200, 0, 0, 0, 0, 200])
    return image


def colors() -> Image.Image:
    table = np.array([[9, 9, 9], [200, 0, 0], [0, 0, 200]], np.uint8)
    return Image.fromarray(table[TRUTH])


TABLE = {"wall": "#090909", "sky": "rgb(200, 0, 0)", "sea": "#0000c8"}


@pytest.mark.parametrize(
    ("make", "options", "classes"),
    [
        (lambda: Image.fromarray(TRUTH.astype(np.uint8)), {}, ("0", "1", "2")),
        (lambda: Image.fromarray(TRUTH.astype(np.uint16)), {}, ("0", "1", "2")),
        (palette, {}, ("0", "1", "2")),
        (palette, {"colors": TABLE}, ("wall", "sky", "sea")),
        (colors, {"colors": TABLE}, ("wall", "sky", "sea")),
        (palette, {"colors": {"x": 0, "y": 1, "z": 2}}, ("x", "y", "z")),
    ],
    ids=["gray", "16 bit", "palette", "palette by color", "colors", "indices by name"],
)
def test_masks_in_every_form(
    tmp_path: Path, make: Callable[[], Image.Image], options: dict[str, Any], classes: tuple[str, ...]
) -> None:
    pictures(tmp_path)
    masks(tmp_path, make)
    dataset = open_data(str(tmp_path), annotation="mask", **options)
    assert dataset.info.classes == classes and dataset.info.target.name == "mask"
    assert dataset.info.shape == (3, 2, 3) and len(dataset) == 3
    batch = dataset.read(torch.tensor([1]))
    assert batch.targets.tolist() == [TRUTH.tolist()]


def test_black_and_white_and_what_means_no_class(tmp_path: Path) -> None:
    pictures(tmp_path)
    masks(tmp_path, lambda: Image.fromarray((TRUTH > 0).astype(np.uint8) * 255), suffix="")
    binary = open_data(str(tmp_path), annotation="mask")
    assert (
        binary.info.classes == ("0", "255") and binary.targets[0].tolist() == (TRUTH > 0).astype(int).tolist()
    )

    void = np.where(TRUTH == 2, 255, TRUTH).astype(np.uint8)
    masks(tmp_path, lambda: Image.fromarray(void), suffix="")
    with pytest.raises(
        DataError, match=r"0, 1 and 255; if 255 means no class, use --set data\.ignore_index=255"
    ):
        open_data(str(tmp_path), annotation="mask")
    dataset = open_data(str(tmp_path), annotation="mask", ignore_index=255)
    assert dataset.targets[0].tolist() == np.where(TRUTH == 2, IGNORED, TRUTH).tolist()
    masks(tmp_path, lambda: Image.fromarray(TRUTH.astype(np.uint8)), suffix="")
    without = open_data(str(tmp_path), annotation="mask", ignore_index=0)
    assert without.info.classes == ("1", "2")
    assert without.targets[0].tolist() == np.where(TRUTH, TRUTH - 1, IGNORED).tolist()


def test_a_grey_mask_beside_coloured_ones(tmp_path: Path) -> None:
    """Grey 255 is white, not the blue that has the same number."""
    pictures(tmp_path)
    masks(tmp_path, lambda: Image.fromarray((TRUTH > 0).astype(np.uint8) * 255))
    table = {"paper": "#000000", "ink": "#ffffff", "sea": "#0000ff"}
    dataset = open_data(str(tmp_path), annotation="mask", colors=table)
    assert dataset.targets[0].tolist() == (TRUTH > 0).astype(int).tolist()


def test_images_of_different_sizes_fill_the_upper_left(tmp_path: Path) -> None:
    pictures(tmp_path, ("a",), (7, 5))
    pictures(tmp_path, ("b",), (4, 9))
    for name, shape in (("a", (5, 7)), ("b", (9, 4))):
        write(tmp_path / "masks" / f"{name}.png", Image.fromarray(np.eye(*shape, dtype=np.uint8)))
    dataset = open_data(str(tmp_path), annotation="mask")
    assert dataset.info.shape == (3, 9, 7) and dataset.info.sizes is not None
    assert dataset.info.sizes.tolist() == [[5, 7], [9, 4]]
    assert (dataset.targets[0, 5:] == IGNORED).all()
    one = read_sample(dataset, 1)
    assert one.images.shape == (1, 3, 9, 4) and one.targets.shape == (1, 9, 4)
    crops = next(Loader(dataset, torch.arange(2), 2, seed=0, augment=Augment(crop=4)).epoch())
    assert crops.images.shape == (2, 3, 4, 4) and (crops.targets != IGNORED).all()
    resized = open_data(str(tmp_path), Preprocess(image_size=6, resize="letterbox"), annotation="mask")
    assert resized.info.shape == (3, 6, 6) and resized.info.sizes is None
    assert (resized.targets == IGNORED).any()


def test_what_does_not_belong_together_is_named(tmp_path: Path) -> None:
    pictures(tmp_path)
    masks(tmp_path, palette)
    write(tmp_path / "masks" / "b_mask.png", Image.new("L", (3, 3)))
    with pytest.raises(DataError, match=r"b_mask.png: is 3×3 pixels, but its image .*b.jpg is 3×2"):
        open_data(str(tmp_path), annotation="mask")
    with pytest.raises(DataError, match=r"b_mask.png: is 3×3 pixels"):
        open_data(str(tmp_path), Preprocess(image_size=8), annotation="mask")
    (tmp_path / "masks" / "b_mask.png").unlink()
    with pytest.raises(DataError, match=r"b.jpg: there is no file of the same name"):
        open_data(str(tmp_path), annotation="mask")
    (tmp_path / "images" / "b.jpg").unlink()
    write(tmp_path / "masks" / "z.png", palette())
    with pytest.raises(DataError, match=r"z.png: there is no image of the same name"):
        open_data(str(tmp_path), annotation="mask")


def test_colors_that_no_class_has_are_named(tmp_path: Path) -> None:
    pictures(tmp_path)
    masks(tmp_path, colors)
    with pytest.raises(DataError, match=r"a color mask \(#0000c8, #090909, #c80000\); name the class"):
        open_data(str(tmp_path), annotation="mask")
    table = {"wall": "#090909", "sky": "#c80000"}
    with pytest.raises(DataError, match=r"2 pixels have the color #0000c8, .*known: wall, sky"):
        open_data(str(tmp_path), annotation="mask", colors=table)
    with pytest.raises(DataError, match=r"data\.colors\.wall: 'grün' is not a color"):
        open_data(str(tmp_path), annotation="mask", colors={"wall": "grün", "sky": "red"})


def test_a_compressed_mask_is_refused(tmp_path: Path) -> None:
    """JPEG changes the values of pixels: 0 and 255 become hundreds of classes."""
    pictures(tmp_path)
    for name in ("a", "b", "c"):
        write(tmp_path / "masks" / f"{name}.jpg", Image.new("L", (3, 2)))
    with pytest.raises(DataError, match=r"a.jpg: JPEG compression changes the values of a mask"):
        open_data(str(tmp_path), annotation="mask")


def test_pairs_and_photos(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / "inputs" / f"{name}.png", Image.new("L", (5, 4), 30))
        write(tmp_path / "targets" / f"{name}.png", Image.new("L", (5, 4), 90))
    pairs = open_data(str(tmp_path), annotation="pairs")
    batch = pairs.read(torch.arange(2))
    assert (batch.images == 30).all() and torch.equal(batch.targets, torch.full((2, 1, 4, 5), 90 / 255))
    photos = open_data(str(tmp_path), annotation="photos")
    assert photos.info.locations == ["inputs/a.png", "inputs/b.png", "targets/a.png", "targets/b.png"]
    (tmp_path / "targets" / "b.png").unlink()
    with pytest.raises(DataError, match=r"b.png: there is no file of the same name"):
        open_data(str(tmp_path), annotation="pairs")
    with pytest.raises(
        DataError, match="holds images with one class per image, but the task needs pairs of images"
    ):
        open_data("digits", annotation="pairs")


@pytest.mark.parametrize(
    "augment",
    [
        Augment(crop=8),
        Augment(flip=True, flip_vertical=True),
        Augment(shift=3),
        Augment(pad_crop=3),
        Augment(quarter_turns=True),
        Augment(crop=9, quarter_turns=True, flip=True),
        Augment(random_resized_crop=0.5, flip=True),
        Augment(random_resized_crop=0.5, resized_to=24),
        Augment(rotate=30),
        Augment(elastic=2),
    ],
    ids=str,
)
def test_masks_move_with_their_images(augment: Augment) -> None:
    """The mask is drawn into the image, so that afterwards it can be read off again."""
    draws = torch.Generator().manual_seed(0)
    mask = (torch.rand(6, 4, 4, generator=draws) > 0.5).long().repeat_interleave(4, 1).repeat_interleave(4, 2)
    batch = Batch((mask[:, None] * 200 + 20).to(torch.uint8), mask, torch.arange(6))
    moved = augment_batch(batch, augment, seed=1, target=MASK)
    assert moved.images.shape[2:] == moved.targets.shape[1:]
    assert not torch.equal(moved.targets, mask[:, : moved.targets.shape[1], : moved.targets.shape[2]])
    known = moved.targets != IGNORED
    read = (moved.images[:, 0].float() > 120).long()
    wrong = (read != moved.targets)[known].float().mean()
    # where images are interpolated, their edges are blurred
    assert wrong <= (0.06 if augment.rotate or augment.elastic or augment.random_resized_crop else 0)
