"""Fill in what a recipe leaves to the data: the value that is white, crops, mirrored images."""

from __future__ import annotations

import logging
from typing import Any

import torch

from convnet.data import Dataset, Split
from convnet.layers import sizes_of
from convnet.models import build_model
from convnet.recipes.finetuning import settle_finetuning
from convnet.recipes.mirror import mirror_changes_classes
from convnet.recipes.network import smallest_side, task_of
from convnet.recipes.overrides import override
from convnet.recipes.recipe import Recipe
from convnet.types import ImageShape

logger = logging.getLogger(__name__)

LARGEST_CROP = {"mask": 128, "image": 64}
"""The default side of crops, by target."""
SMALL_SIDE = 32
"""Images up to this size are shifted by two pixels instead of cropped and resized."""
AREA = 0.5


def settle(recipe: Recipe, dataset: Dataset, split: Split, *, reopens: bool = False) -> Recipe:
    """Replace every "auto" of a recipe by what fits its data; each choice is logged.

    Args:
        recipe: The recipe.
        dataset: Its data.
        split: Its split.
        reopens: Whether the data are opened again if the size of the images changes.

    Returns:
        A recipe that gives the same run without looking at the data again.
    """
    if recipe.weights is not None:
        recipe = settle_finetuning(recipe, recipe.weights, dataset, split, reopens=reopens)
    changes: dict[str, Any] = {}
    if recipe.minutes is not None and recipe.epochs and recipe.early_stopping is None and len(split.val):
        changes["early_stopping.patience"] = recipe.epochs  # so that the best epoch is kept
    if dataset.info.white is not None and recipe.preprocess.white is None:
        changes["preprocess.white"] = dataset.info.white
    if dataset.info.sample_rate is not None:
        changes["data.sample_rate"] = dataset.info.sample_rate
        changes["data.audio"] = recipe.data.audio or "log-mel"
    if recipe.augment.crop == "auto":
        changes |= _crop(recipe, dataset)
    if recipe.augment.random_resized_crop == "auto" or recipe.augment.shift == "auto":
        changes |= _moves(recipe, dataset)
    if recipe.augment.flip == "auto":
        changes["augment.flip"] = _flip(recipe, dataset, split)
    return override(recipe, changes) if changes else recipe


def _crop(recipe: Recipe, dataset: Dataset) -> dict[str, Any]:
    """The largest crop that all images and the network allow; a smaller U-Net for tiny images."""
    side, wanted = smallest_side(dataset), LARGEST_CROP[task_of(recipe).target.name]
    options = dict(recipe.model.options)
    changes: dict[str, Any] = {}
    if "depth" in options and 2 ** options["depth"] > side:
        changes["model.depth"] = options["depth"] = max(1, side.bit_length() - 1)
    multiple = _multiple(recipe, dataset, options)
    crop = min(wanted, side) // multiple * multiple
    if dataset.info.sizes is None and crop == side == max(dataset.info.shape[1:]):
        return {**changes, "augment.crop": 0, "augment.crops": 1}  # whole images
    if crop < wanted:
        logger.info("crops of %s×%s pixels: the smallest image has %s a side", crop, crop, side)
    return {**changes, "augment.crop": crop}


def _multiple(recipe: Recipe, dataset: Dataset, options: dict[str, Any]) -> int:
    """The number of which the sides of a network's images are multiples."""
    side = LARGEST_CROP["mask"]
    shape = ImageShape(dataset.info.shape.channels, side, side)
    with torch.device("meta"):
        network = build_model(recipe.model.name, shape, task_of(recipe).outputs(dataset), **options)
    return sizes_of(network).multiple


def _moves(recipe: Recipe, dataset: Dataset) -> dict[str, Any]:
    """Random resized crops for large images, shifts for small ones, unless the recipe moves images itself."""
    augment, side = recipe.augment, min(dataset.info.shape[1:])
    own = (
        augment.shift not in (0, "auto")
        or augment.pad_crop
        or augment.random_resized_crop not in (None, "auto")
    )
    changes: dict[str, Any] = {}
    if augment.random_resized_crop == "auto":
        changes["augment.random_resized_crop"] = AREA if side > SMALL_SIDE and not own else None
    if augment.shift == "auto":
        changes["augment.shift"] = 0 if side > SMALL_SIDE or own else min(2, side // 4)
    return changes


def _flip(recipe: Recipe, dataset: Dataset, split: Split) -> bool:
    """Whether images are mirrored: not gray or small ones, whose class a mirror may change."""
    channels, height, width = dataset.info.shape
    if not task_of(recipe).target.exclusive:
        return True
    if channels != 3 or min(height, width) <= SMALL_SIDE:
        logger.info("images are not mirrored, because gray and small images are often characters or symbols")
        return False
    why = mirror_changes_classes(dataset, split.train)
    if why is not None:
        logger.info("images are not mirrored: %s (--set augment.flip=true mirrors them)", why)
    return why is None
