"""Near copies: one photo saved again, resized or cropped; not two pictures under a fixed camera."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from convnet.data import list_data, make_split, open_data
from convnet.data.audit.copies import same_photo, view_of
from convnet.data.audit.duplicates import duplicates
from convnet.data.audit.scan import scan
from convnet.data.splits.split import SplitOptions

PHOTOS = Path(__file__).parents[1] / "photos"


def saved(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def scaled(image: Image.Image, factor: float) -> Image.Image:
    return image.resize((round(image.width * factor), round(image.height * factor)))


def cropped(image: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    width, height = image.size
    return image.crop((int(left * width), int(top * height), int(right * width), int(bottom * height)))


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "quality 80": lambda image: saved(image, 80),
    "quality 40": lambda image: saved(image, 40),
    "half the size": lambda image: scaled(image, 0.5),
    "smaller and compressed": lambda image: saved(scaled(image, 0.7), 60),
    "larger": lambda image: scaled(image, 1.5),
    "cropped a little": lambda image: cropped(image, 0.02, 0.02, 0.98, 0.98),
    "cropped at a corner": lambda image: cropped(image, 0, 0, 0.94, 0.94),
    "cropped at a side": lambda image: cropped(image, 0.08, 0, 1, 1),
}


@pytest.mark.parametrize("form", COPIES)
def test_copies_of_photos_are_found(form: str) -> None:
    missed = []
    for path in sorted(PHOTOS.rglob("*.jpg")):
        image = Image.open(path).convert("RGB")
        one, other = (view_of(np.asarray(picture)) for picture in (image, COPIES[form](image)))
        if not same_photo(one, other):
            missed.append(path.name)
    assert len(missed) <= (1 if "cropped" in form else 0), missed


@pytest.mark.parametrize("form", ["quality 40", "half the size", "cropped at a corner"])
def test_copies_among_photos_are_found(tmp_path: Path, form: str) -> None:
    """By the whole search, in which candidates are chosen by hashes and thumbnails."""
    photos = sorted(PHOTOS.rglob("*.jpg"))
    for i, path in enumerate(photos):
        image = Image.open(path).convert("RGB")
        for folder, picture in (("a", image), ("b", COPIES[form](image))):
            (tmp_path / folder).mkdir(exist_ok=True)
            picture.save(tmp_path / folder / f"{i:03}.png")
    manifest = list_data(str(tmp_path))
    names = [sample.entry.name[2:] for sample in manifest.samples]
    pairs = {(names[p.first], names[p.second]) for p in duplicates(manifest, scan(manifest)).pairs}
    assert all(one == other for one, other in pairs)
    assert len(photos) - len(pairs) <= (2 if "cropped" in form else 0)


@pytest.mark.parametrize("quality", [50, 75])
def test_small_images_that_were_compressed_are_found(quality: int) -> None:
    """28×28 pixels, in which the blocks of JPEG are large."""
    digits = open_data("digits").read(torch.arange(40)).images[:, 0].numpy()
    for pixels in digits:
        image = Image.fromarray((pixels * 255 // pixels.max()).astype(np.uint8)).resize((28, 28))
        views = [view_of(np.asarray(picture.convert("RGB"))) for picture in (image, saved(image, quality))]
        assert same_photo(*views)


def test_compression_that_removes_noise_is_no_difference() -> None:
    random = np.random.default_rng(0)
    y, x = np.mgrid[:200, :200] / 200
    clean = np.repeat((120 + 60 * np.sin(9 * x) + 40 * np.cos(13 * x * y))[:, :, None], 3, 2)
    one, other = (
        Image.fromarray((clean + random.normal(0, 3, clean.shape)).clip(0, 255).astype(np.uint8))
        for _ in "ab"
    )
    assert same_photo(view_of(np.asarray(one)), view_of(np.asarray(saved(one, 50))))
    assert not same_photo(view_of(np.asarray(one)), view_of(np.asarray(other)))


def fixed_camera(root: Path, count: int, side: int, noise: float) -> Path:
    """Pictures of one part with a mark that is somewhere else, and of another gray, in each."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side]
    part = np.where((y - side / 2) ** 2 + (x - side / 2) ** 2 < (0.35 * side) ** 2, 190.0, 120.0)
    for i in range(count):
        row, column = random.uniform(0.3 * side, 0.7 * side, 2)
        mark = (y - row) ** 2 + (x - column) ** 2 < random.uniform(0.02, 0.05) ** 2 * side**2
        pixels = part - mark * random.uniform(30, 90) + random.normal(0, noise, part.shape)
        path = root / ("good" if i % 2 else "bad") / f"{i:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
    return root


@pytest.mark.parametrize(("side", "noise"), [(64, 6), (128, 3), (256, 4)])
def test_pictures_under_a_fixed_camera_are_no_copies(tmp_path: Path, side: int, noise: float) -> None:
    """Less than one in a thousand pairs of different pictures is taken for copies; all pictures are used."""
    root = fixed_camera(tmp_path, 60, side, noise)
    manifest = list_data(str(root))
    assert len(duplicates(manifest, scan(manifest)).pairs) <= 0.001 * 60 * 59 / 2
    dataset = open_data(str(root))
    split = make_split(dataset, SplitOptions())
    assert (len(split.train), len(split.val), len(split.test)) == (48, 6, 6)


@pytest.mark.parametrize("noise", [1, 6])
def test_one_scene_again_and_again_is_not_grouped(tmp_path: Path, noise: float) -> None:
    """A camera trap without animals: all pictures are used, and the user is told why they are not grouped."""
    random, base = np.random.default_rng(0), Image.open(next(PHOTOS.rglob("*.jpg"))).convert("RGB")
    small = np.asarray(base.resize((96, 96)), float)
    for i in range(40):
        path = tmp_path / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        noisy = small + random.normal(0, noise, small.shape)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path)
    dataset = open_data(str(tmp_path))
    said = any(line.startswith("40 images look like one scene") for line in dataset.info.warnings)
    assert said or not any("near" in line for line in dataset.info.warnings)
    assert len(make_split(dataset, SplitOptions()).train) == 32


def test_mnist_digits_are_no_copies(mnist_dir: Path, tmp_path: Path) -> None:
    from convnet.settings import use_settings

    with use_settings(data_dir=mnist_dir):
        digits = open_data("mnist")
    for i in range(1500):
        path = tmp_path / str(int(digits.targets[i])) / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(digits.images[i, 0].numpy()).save(path)  # type: ignore[attr-defined]
    manifest = list_data(str(tmp_path))
    assert duplicates(manifest, scan(manifest)).pairs == []
