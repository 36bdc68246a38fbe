"""A picture of training images before and after preprocessing and augmentation."""

from __future__ import annotations

import textwrap
from pathlib import Path

import torch

from convnet.atomic import require_picture, write_atomically
from convnet.data import Augment, DataSpec, ImageDataset, Loader, class_names, make_split
from convnet.device import derived_seed
from convnet.errors import DataError
from convnet.recipes import Recipe, open_recipe_data
from convnet.recipes.settle import settle
from convnet.reports import grids
from convnet.reports.grids import resized
from convnet.reports.style import to_png
from convnet.tasks import as_picture

TITLE_WIDTH = 110
DRAWS = 5
"""Augmented versions of each image."""


def draw_preview(recipe: Recipe, count: int, out: Path, spec: DataSpec | None = None) -> None:
    """Write a picture with one row per image: the network's input, other resize policies, augmentations.

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
    columns = [("network input", [as_picture(image) for image in originals.images])]
    if isinstance(dataset, ImageDataset):
        others = resized(dataset, originals.indices.tolist())
        used = recipe.preprocess.resize
        columns += [(f"resize={policy}", pictures) for policy, pictures in others if policy != used]
    if recipe.augment != Augment():
        augment = recipe.augment.model_copy(update={"crops": 1})
        for draw in range(DRAWS):
            loader = Loader(dataset, originals.indices, count, seed=recipe.seed + draw, augment=augment)
            batch = next(loader.epoch(draw))
            back = batch.indices.argsort()[originals.indices.argsort().argsort()]
            columns.append(("augmented", [as_picture(image) for image in batch.images[back]]))
    images = [column[row] for row in range(len(originals)) for _, column in columns]
    captions = [title for title, _ in columns] + [""] * (len(images) - len(columns))
    names = class_names(dataset)
    shown = [names[i] for i in originals.indices.tolist()]
    captions = [
        f"{shown[n // len(columns)]}\n{caption}".rstrip() if n % len(columns) == 0 else caption
        for n, caption in enumerate(captions)
    ]
    words = f"{recipe.name}: {', '.join(recipe.augment.words()) or 'no augmentation'}"
    title = "\n".join(textwrap.wrap(words, TITLE_WIDTH))
    write_atomically(out, to_png(grids.image_grid(images, captions, len(columns), title)))
