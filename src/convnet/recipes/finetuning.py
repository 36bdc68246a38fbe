"""Choose the layers to train, the image size and the batch norms of a network with pretrained weights."""

from __future__ import annotations

import logging
from typing import Any

import torch

from convnet.data import Dataset, Split
from convnet.device import default_device
from convnet.meta import MetaMode
from convnet.models import build_model, facts_of
from convnet.recipes.applicable import head_only, step_field_that_differs
from convnet.recipes.defaults import TRANSFER
from convnet.recipes.network import task_of
from convnet.recipes.overrides import override
from convnet.recipes.recipe import EarlyStopping, Recipe
from convnet.recipes.weights import Weights
from convnet.settings import settings
from convnet.types import ImageShape

logger = logging.getLogger(__name__)

LARGER, LARGER_MULTIPLE = 9 / 7, 32
"""Fine-tuning evaluates images that are larger than the native size by this factor, up to a multiple."""
FINE_TUNED_AREA = 0.35
"""The smallest part of such an image that a training crop covers."""
FEW_PER_CLASS = 5
"""With fewer training samples per class only the head of a pretrained network is trained."""
FEW_FOR_NORMS = 5_000
"""With fewer training samples batch norms keep the statistics of pretrained weights."""


def settle_finetuning(
    recipe: Recipe, weights: Weights, dataset: Dataset, split: Split, *, reopens: bool
) -> Recipe:
    """Choose which layers are trained, on images of which size, and whether norms keep their statistics.

    Args:
        recipe: The recipe.
        weights: Its weights.
        dataset: Its data.
        split: Its split.
        reopens: Whether the data are opened again if the size of the images changes.
    """
    _report_small_images(recipe, weights, dataset)
    changes: dict[str, Any] = {}
    if weights.finetune == "auto":
        changes = _stages(recipe, dataset, len(split.train))
    finetune = changes.get("weights.finetune", weights.finetune)
    if weights.freeze_norms == "auto":
        few = len(split.train) < FEW_FOR_NORMS
        changes.setdefault("weights.freeze_norms", few and finetune != "head")
    usual = EarlyStopping(**TRANSFER["early_stopping"])
    if finetune == "full" and not len(split.val) and recipe.early_stopping == usual:
        # The training loss says nothing: it rises when more layers are trained.
        logger.info("there is no validation split, so training does not stop early")
        changes["early_stopping"] = None
    if finetune == "full" and reopens:
        changes |= _larger_images(recipe, task_of(recipe).outputs(dataset))
    return override(recipe, changes) if changes else recipe


def _report_small_images(recipe: Recipe, weights: Weights, dataset: Dataset) -> None:
    """Log that images are much smaller than those that public weights were trained on."""
    facts, (_, *sides) = facts_of(recipe.model.name), dataset.info.shape
    if weights.source != "imagenet" or facts is None or facts.weights is None:
        return
    native = facts.weights.input.image_size
    if max(sides) <= native // 2:
        logger.info(
            "images of %s×%s pixels, but the weights of %s are for %s×%s; --image-size %s enlarges them",
            *(*sides, recipe.model.name, native, native, native),
        )


def _stages(recipe: Recipe, dataset: Dataset, count: int) -> dict[str, Any]:
    """The fields that train only the head, or after it the whole network."""
    usual = {"name": recipe.name, "data": recipe.data, "task": recipe.task, "model": recipe.model, **TRANSFER}
    cpu = (settings().device or default_device()) == "cpu"
    if step_field_that_differs(recipe, Recipe.from_dict(usual)) is not None:
        return {"weights.finetune": "full"}
    if count < FEW_PER_CLASS * len(dataset.info.classes):
        logger.info(
            "only the head is trained, because there are only %s training images; --epochs 10 trains the "
            "whole network",
            f"{count:,}",
        )
        return head_only(recipe)
    if cpu and recipe.minutes is None:
        logger.info(
            "only the head is trained, because training the whole network takes minutes on a CPU; "
            "--minutes 5 or --epochs 10 trains all of it"
        )
        return head_only(recipe)
    return {"weights.finetune": "full"}


def _larger_images(recipe: Recipe, outputs: int) -> dict[str, Any]:
    """Larger images, of which parts are trained on at the native size (Touvron et al. 2019).

    Objects then have the same size in training as in evaluation, and more detail.
    """
    facts, augment = facts_of(recipe.model.name), recipe.augment
    native = None if facts is None or facts.weights is None else facts.weights.input.image_size
    own = augment.resized_to or augment.crop or augment.random_resized_crop is None
    settled = "auto" not in (augment.flip, augment.random_resized_crop)
    if native is None or own or settled or recipe.preprocess.image_size != native:
        return {}
    larger = round(LARGER * native / LARGER_MULTIPLE) * LARGER_MULTIPLE
    with torch.device("meta"):
        network = build_model(
            recipe.model.name, ImageShape(3, larger, larger), outputs, **recipe.model.options
        )
    try:
        with MetaMode(), torch.no_grad():
            network.eval()(torch.empty(2, 3, native, native, device="meta"))
    except RuntimeError:  # a dense layer takes maps of one size
        return {}
    logger.info(
        "images of %s×%s pixels, of which crops are trained on at %s×%s; --set augment.resized_to=%s keeps "
        "images of that size",
        *(larger, larger, native, native, native),
    )
    changes: dict[str, Any] = {"preprocess.image_size": larger, "augment.resized_to": native}
    if augment.random_resized_crop == "auto":
        changes["augment.random_resized_crop"] = FINE_TUNED_AREA
    return changes
