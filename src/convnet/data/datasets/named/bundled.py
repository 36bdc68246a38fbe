"""Data sets without downloads: scikit-learn's digits, tumours and photos, and points in the plane."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from convnet.data.datasets.image_pairs import stack
from convnet.data.datasets.tensor_dataset import TensorDataset, from_tensors
from convnet.targets import MASK
from convnet.types import SplitName

Points = tuple[NDArray[np.float64], NDArray[np.int64]]

PER_PLANE = 600
SCENES, TEST_SCENES, SCENE_SIDE, DIGITS_PER_SCENE = 600, 100, 48, 14


def read_digits(name: str, classes: tuple[str, ...]) -> TensorDataset:
    """scikit-learn's 1,797 digits of 8×8 pixels (UCI); 17 gray levels, scaled to 0…255."""
    from sklearn.datasets import load_digits  # imported here because it takes half a second

    pixels, targets = load_digits(return_X_y=True)
    images = np.rint(pixels.reshape(-1, 1, 8, 8) * (255 / 16)).astype(np.uint8)
    places = [f"digits[{i}]" for i in range(len(images))]
    labels = torch.from_numpy(targets.astype(np.int64))
    return from_tensors(name, torch.from_numpy(images), labels, classes, places)


def read_photos(name: str, classes: tuple[str, ...]) -> TensorDataset:
    """scikit-learn's photos: the upper part of a temple (train), its lower part (val), a flower (test)."""
    from sklearn.datasets import load_sample_images

    temple, flower = (np.ascontiguousarray(image.transpose(2, 0, 1)) for image in load_sample_images().images)
    height, cut = temple.shape[1], 320
    parts = [(temple[:, :cut], f"china.jpg[:{cut}]"), (temple[:, cut:], f"china.jpg[{cut}:{height}]")]
    images, sizes = stack(name, [*(part for part, _ in parts), flower])
    places = [*(place for _, place in parts), "flower.jpg"]
    targets = torch.zeros(3, dtype=torch.int64)
    return from_tensors(name, images, targets, classes, places, ["train", "val", "test"], sizes=sizes)


def read_scenes(name: str, classes: tuple[str, ...]) -> TensorDataset:
    """Scenes of 48×48 pixels with scattered digits and masks; test scenes use other digits.

    Pixels darker than a quarter of black belong to a digit, all others to the paper.
    """
    digits = read_digits("digits", ())
    draws = np.random.default_rng(0)
    images = np.zeros((SCENES, 1, SCENE_SIDE, SCENE_SIDE), np.uint8)
    masks = np.zeros((SCENES, SCENE_SIDE, SCENE_SIDE), np.int16)
    held_out = len(digits) // 5
    for number, (image, mask) in enumerate(zip(images[:, 0], masks, strict=True)):
        pool = (0, held_out) if number >= SCENES - TEST_SCENES else (held_out, len(digits))
        for index in draws.integers(*pool, DIGITS_PER_SCENE):
            top, left = draws.integers(0, SCENE_SIDE - 8, 2)
            part = np.s_[top : top + 8, left : left + 8]
            if mask[part].any():
                continue  # digits do not overlap
            ink = digits.images[index, 0].numpy()
            image[part] = np.maximum(image[part], ink)
            mask[part] = np.where(ink >= 64, int(digits.targets[index]) + 1, 0)
    given_split: list[SplitName] = ["test" if i >= SCENES - TEST_SCENES else "train" for i in range(SCENES)]
    return from_tensors(
        name,
        torch.from_numpy(images),
        torch.from_numpy(masks),
        classes,
        [f"{name}[{i}]" for i in range(SCENES)],
        given_split,
        target=MASK,
    )


def read_tumours(name: str, classes: tuple[str, ...]) -> TensorDataset:
    """The Wisconsin breast cancer set: 30 measurements of the cells of 569 tumours."""
    from sklearn.datasets import load_breast_cancer

    found = load_breast_cancer()
    benign = found.target == list(found.target_names).index("benign")
    return as_table(name, found.data, np.where(benign, 0, 1), classes, tuple(found.feature_names))


def read_plane(make: Callable[[], Points]) -> Callable[[str, tuple[str, ...]], TensorDataset]:
    """A reader of the points that `make` draws."""

    def read(name: str, classes: tuple[str, ...]) -> TensorDataset:
        return as_table(name, *make(), classes, ("x", "y"))

    return read


def circles() -> Points:
    """Two concentric rings."""
    from sklearn.datasets import make_circles

    points, targets = make_circles(PER_PLANE, noise=0.08, factor=0.45, random_state=0)
    return points, 1 - targets


def moons() -> Points:
    """Two interleaving half moons."""
    from sklearn.datasets import make_moons

    points, targets = make_moons(PER_PLANE, noise=0.2, random_state=0)
    return points - points.mean(0), targets


def spiral() -> Points:
    """Three arms of a spiral."""
    draws = np.random.default_rng(0)
    arm = np.repeat(np.arange(3), PER_PLANE // 3)
    radius = np.tile(np.linspace(0.05, 1, PER_PLANE // 3), 3)
    angle = 4 * radius + 2 * np.pi / 3 * arm + draws.normal(0, 0.2, PER_PLANE)
    return np.stack([radius * np.sin(angle), radius * np.cos(angle)], 1), arm


def blobs() -> Points:
    """Three clouds that are nearly linearly separable."""
    from sklearn.datasets import make_blobs

    centers = np.array([[-1.0, -0.6], [1.0, -0.6], [0.0, 1.1]])
    points, targets = make_blobs(PER_PLANE, centers=centers, cluster_std=0.42, random_state=0)
    return points, targets


def corner() -> Points:
    """Points inside and outside a corner, which two half planes separate but one does not."""
    draws = np.random.default_rng(0)
    points = draws.uniform(-1, 1, (4 * PER_PLANE, 2))
    edge = points.min(1)  # the distance from the edges of the quadrant x > 0, y > 0
    kept = np.abs(edge) > 0.08
    points, inside = points[kept], edge[kept] > 0
    each = [np.flatnonzero(inside == side)[: PER_PLANE // 2] for side in (True, False)]
    chosen = np.concatenate(each)
    return points[chosen], np.where(inside[chosen], 0, 1)


def as_table(
    name: str,
    numbers: NDArray[np.floating],
    targets: NDArray[np.integer],
    classes: tuple[str, ...],
    columns: tuple[str, ...],
    places: list[str] | None = None,
) -> TensorDataset:
    """Make a dataset from rows of numbers N×C: images of one pixel with C channels."""
    return from_tensors(
        name,
        torch.from_numpy(numbers.astype(np.float32))[:, :, None, None],
        torch.from_numpy(targets.astype(np.int64)),
        classes,
        places or [f"{name}[{i}]" for i in range(len(targets))],
        columns=columns,
        modality="table",
    )
