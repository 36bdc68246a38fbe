"""From a recipe to the objects that train: a workbench."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from convnet.data import Loader, MemorySource, Split, make_split, open_data, pixel_statistics
from convnet.device import derived_seed, make_fabric, resolve_precision
from convnet.errors import ModelError, RecipeError
from convnet.layers import Normalize, guard_narrow_convolutions
from convnet.models import build_model
from convnet.recipes.recipe import Recipe
from convnet.training import (
    LOSSES,
    OPTIMIZERS,
    SCHEDULES,
    Evaluation,
    Timing,
    Training,
    evaluate,
    make_ema,
    parameter_groups,
)
from convnet.types import SplitName

if TYPE_CHECKING:
    from lightning_fabric import Fabric

EVALUATION_BATCH = 512


@dataclass(frozen=True)
class Workbench:
    """Everything that a recipe asks for, ready to train or to predict."""

    recipe: Recipe
    source: MemorySource
    split: Split
    fabric: Fabric
    training: Training
    batches: Loader

    def evaluate(self, split: SplitName) -> Evaluation | None:
        """Predictions for a split of the recipe's data; None where the split is empty."""
        indices = self.split[split]
        if not len(indices):
            return None
        held_out = Loader(self.source, indices, evaluation_batch(self.source.shape.height))
        return evaluate(self.training.evaluated, held_out.epoch(), self.training.loss, self.fabric)


def evaluation_batch(side: int) -> int:
    """Images per batch without gradients: fewer where they are large."""
    return max(16, EVALUATION_BATCH * 32**2 // max(32, side) ** 2)


def open_recipe_data(recipe: Recipe, data_dir: Path | None) -> MemorySource:
    """The recipe's data, decoded and resized."""
    return open_data(
        recipe.data.source,
        recipe.preprocess,
        data_dir=data_dir,
        skip_unreadable=recipe.data.skip_unreadable,
    )


def build(
    recipe: Recipe,
    *,
    device: str,
    data_dir: Path | None = None,
    source: MemorySource | None = None,
    split: Split | None = None,
) -> Workbench:
    """Open the data, split it, measure its statistics, build the network and what trains it.

    `source` and `split` may be given where they are there already. The same recipe gives the same weights.

    Raises:
        ConvnetError: whatever the recipe asks for cannot be had; the message says what to change.
    """
    fabric = make_fabric(device, resolve_precision(recipe.precision, device))
    source = source or open_recipe_data(recipe, data_dir)
    split = split or make_split(source, recipe.split)
    model = build_network(recipe, source, split)
    source = source.to(fabric.device)
    model = model.to(fabric.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if fabric.device.type == "cpu":
        guard_narrow_convolutions(model)
    batches = Loader(source, split.train, recipe.batch_size, seed=recipe.seed, augment=recipe.augment)
    # Where nothing decays, nothing is spared: one group, one call of a fused optimizer.
    decays = bool(recipe.optimizer.options.get("weight_decay"))
    groups = parameter_groups(model, decay_all=recipe.decay_biases or not decays)
    timing = Timing(batches.steps, recipe.epochs)
    training = Training(
        model=model,
        loss=LOSSES.build(recipe.loss.name, **recipe.loss.options),
        optimizer=OPTIMIZERS.build(recipe.optimizer.name, groups, **recipe.optimizer.options),
        schedule=SCHEDULES.build(recipe.schedule.name, timing, **recipe.schedule.options),
        regularizers=recipe.regularizers,
        clip_norm=recipe.clip_norm,
        ema=make_ema(model, recipe.ema) if recipe.ema is not None else None,
        seed=recipe.seed,
    )
    return Workbench(recipe, source, split, fabric, training, batches)


def build_network(recipe: Recipe, source: MemorySource, split: Split) -> nn.Module:
    """Normalisation, with the statistics of the training split, and the recipe's network behind it.

    Raises:
        ModelError: the network does not fit the images, or does not end in a logit per class.
    """
    _require_sensible_augmentation(recipe, source)
    mean, std = pixel_statistics(source, split.train, recipe.preprocess.normalize)
    num_classes = len(source.classes)
    with torch.random.fork_rng():
        torch.manual_seed(derived_seed(recipe.seed, "weights"))
        network = build_model(recipe.model.name, source.shape, num_classes, **recipe.model.options)
    model = nn.Sequential(Normalize(mean, std), network)
    _require_logits(model, recipe, source)
    return model


def _require_sensible_augmentation(recipe: Recipe, source: MemorySource) -> None:
    """Refuse augmentation that would leave nothing of an image."""
    side = min(source.shape.height, source.shape.width)
    for name in ("shift", "pad_crop", "cutout"):
        if getattr(recipe.augment, name) >= max(side, 2):
            raise RecipeError(
                f"augment.{name}={getattr(recipe.augment, name)} leaves nothing of {source.shape} images; "
                f"use less than {side}"
            )


@torch.no_grad()
def _require_logits(model: nn.Module, recipe: Recipe, source: MemorySource) -> None:
    """Run two images through a network that is not ours, whose author may have made a mistake."""
    if ":" not in recipe.model.name:
        return
    if not any(p.requires_grad for p in model.parameters()):
        raise ModelError(f"model '{recipe.model.name}' has no trainable parameters")
    try:
        with torch.random.fork_rng():
            logits = model.eval()(source.read(torch.tensor([0, 1])).images)
            shape = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
    except Exception as error:  # a user's code may raise anything; the message must name it
        message = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ModelError(f"model '{recipe.model.name}' fails on {source.shape} images: {message}") from error
    finally:
        model.train()
    expected = (2, len(source.classes))
    if shape != expected:
        raise ModelError(
            f"model '{recipe.model.name}' maps two {source.shape} images to {shape}; a classifier of "
            f"{expected[1]} classes must return {expected}"
        )
