"""A picture of training images before and after preprocessing and augmentation."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from pathlib import Path

import torch

from convnet.atomic import require_picture, write_atomically
from convnet.data import (
    Augment,
    Dataset,
    DataSpec,
    ImageDataset,
    Loader,
    class_names,
    location,
    make_split,
)
from convnet.device import derived_seed
from convnet.errors import DataError
from convnet.outputs import Picture
from convnet.outputs.mask_colors import blended, colored
from convnet.recipes import Recipe, open_recipe_data
from convnet.recipes.settle import settle
from convnet.reports import grids
from convnet.reports.grids import resized
from convnet.reports.style import to_png
from convnet.targets import IMAGE, MASK
from convnet.tasks import as_picture
from convnet.types import IGNORED, Batch

TITLE_WIDTH = 110
DRAWS = 5
"""Augmented versions of each image."""
PAIR_DRAWS = 2
"""Augmented versions of each pair of images."""


def draw_preview(recipe: Recipe, count: int, out: Path, spec: DataSpec | None = None) -> None:
    """Write a picture with one row per image: the network's input, other resize policies, augmentations.

    Masks are blended over their images, and the target of a pair stands next to its input.

    Raises:
        DataError: The data holds no images.
        RunError: The picture cannot be written.
    """
    require_picture(out)
    dataset = open_recipe_data(recipe, spec)
    if dataset.info.modality != "images":
        raise DataError(f"{dataset.info.name}: {dataset.info.modality}, not images; there is nothing to draw")
    split = make_split(dataset, recipe.split)
    recipe, train = settle(recipe, dataset, split), split.train
    order = torch.randperm(
        len(train), generator=torch.Generator().manual_seed(derived_seed(recipe.seed, "order", 0))
    )
    indices = train[order[:count]]
    originals = dataset.read(indices)
    columns = [
        ("network input", [as_picture(image) for image in originals.images]),
        *_targets(originals, dataset, ""),
    ]
    if isinstance(dataset, ImageDataset):
        others = resized(dataset, originals.indices.tolist())
        used = recipe.preprocess.resize
        columns += [(f"resize={policy}", pictures) for policy, pictures in others if policy != used]
    if recipe.augment != Augment():
        augment = recipe.augment.model_copy(update={"crops": 1})
        for draw in range(PAIR_DRAWS if dataset.info.target == IMAGE else DRAWS):
            loader = Loader(dataset, originals.indices, count, seed=recipe.seed + draw, augment=augment)
            batch = next(loader.epoch(draw))
            back = batch.indices.argsort()[originals.indices.argsort().argsort()]
            batch = replace(batch, images=batch.images[back], targets=batch.targets[back])
            shown = _targets(batch, dataset, "augmented ")
            if dataset.info.target != MASK:
                shown.insert(0, ("augmented", [as_picture(image) for image in batch.images]))
            columns += shown
    images = [column[row] for row in range(len(originals)) for _, column in columns]
    captions = [title for title, _ in columns] + [""] * (len(images) - len(columns))
    names = _captions(dataset, originals.indices.tolist())
    captions = [
        f"{names[n // len(columns)]}\n{caption}".rstrip() if n % len(columns) == 0 else caption
        for n, caption in enumerate(captions)
    ]
    words = f"{recipe.name}: {', '.join(recipe.augment.words()) or 'no augmentation'}"
    title = "\n".join(textwrap.wrap(words, TITLE_WIDTH))
    write_atomically(out, to_png(grids.image_grid(images, captions, len(columns), title)))


def _targets(batch: Batch, dataset: Dataset, which: str) -> list[tuple[str, list[Picture]]]:
    """A column with the masks or target images of a batch; none for classes."""
    if dataset.info.target == MASK:
        pairs = zip(batch.images, batch.targets.numpy(), strict=True)
        return [(f"{which}mask", [blended(as_picture(x), colored(y), y != IGNORED) for x, y in pairs])]
    if dataset.info.target == IMAGE:
        return [(f"{which}target", [as_picture(255 * image) for image in batch.targets])]
    return []


def _captions(dataset: Dataset, indices: list[int]) -> list[str]:
    """The classes of samples, or their file names if they have none."""
    if dataset.info.target in (MASK, IMAGE):
        return [Path(location(dataset, i)).name for i in indices]
    names = class_names(dataset)
    return [names[i] for i in indices]
