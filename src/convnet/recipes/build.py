"""From a recipe to the objects that train: a workbench."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from convnet.data import Augment, Loader, MemorySource, Split, make_split, open_data, pixel_statistics
from convnet.device import derived_seed, make_fabric, resolve_precision
from convnet.errors import ModelError, RecipeError
from convnet.features import Features
from convnet.layers import Fitted, Normalize, guard_narrow_convolutions
from convnet.models import build_model
from convnet.recipes.recipe import Recipe
from convnet.recipes.stages import State, assemble, prepare
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
    """Everything that a recipe asks for, ready to train or to predict.

    `training` trains what remains of the network behind its `front`, whose outputs `inputs` holds.
    """

    recipe: Recipe
    source: MemorySource
    split: Split
    fabric: Fabric
    front: nn.Sequential
    inputs: MemorySource
    training: Training
    batches: Loader
    fit_seconds: float

    @property
    def model(self) -> nn.Sequential:
        """The whole network as it is evaluated, from pixels to logits."""
        head = self.training.evaluated
        assert isinstance(head, nn.Sequential)
        return nn.Sequential(*self.front, *head)

    def evaluate(self, split: SplitName) -> Evaluation | None:
        """Predictions for a split of the recipe's data; None where the split is empty."""
        indices = self.split[split]
        if not len(indices):
            return None
        held_out = Loader(self.inputs, indices, evaluation_batch(self.inputs.shape.height))
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
        label=recipe.data.label,
        ignore=recipe.data.ignore,
    )


def build(
    recipe: Recipe,
    *,
    device: str,
    data_dir: Path | None = None,
    source: MemorySource | None = None,
    split: Split | None = None,
    learnt: State | None = None,
    say: Callable[[str], object] = lambda line: None,
) -> Workbench:
    """Open the data, split it, measure its statistics, build the network and what trains it.

    `source` and `split` may be given where they are there already, and `learnt`, what fitted stages learnt
    before. The same recipe gives the same weights. `say` hears what takes long.

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
    augmented = recipe.augment != Augment()
    prepared = prepare(model, source, split, augmented=augmented, learnt=learnt, say=say)
    batches = Loader(
        prepared.inputs, split.train, recipe.batch_size, seed=recipe.seed, augment=recipe.augment
    )
    training = _make_training(recipe, prepared.head, batches)
    return Workbench(
        recipe, source, split, fabric, prepared.front, prepared.inputs, training, batches, prepared.seconds
    )


def _make_training(recipe: Recipe, model: nn.Module, batches: Loader) -> Training:
    # Where nothing decays, nothing is spared: one group, one call of a fused optimizer.
    decays = bool(recipe.optimizer.options.get("weight_decay"))
    groups = parameter_groups(model, decay_all=recipe.decay_biases or not decays)
    timing = Timing(batches.steps, recipe.epochs)
    return Training(
        model=model,
        loss=LOSSES.build(recipe.loss.name, **recipe.loss.options),
        optimizer=OPTIMIZERS.build(recipe.optimizer.name, groups, **recipe.optimizer.options),
        schedule=SCHEDULES.build(recipe.schedule.name, timing, **recipe.schedule.options),
        regularizers=recipe.regularizers,
        clip_norm=recipe.clip_norm,
        ema=make_ema(model, recipe.ema) if recipe.ema is not None else None,
        seed=recipe.seed,
    )


def build_network(recipe: Recipe, source: MemorySource, split: Split) -> nn.Sequential:
    """Normalisation, with the statistics of the training split, and the recipe's network behind it.

    Raises:
        ModelError: the network does not fit the images, or does not end in a logit per class.
        RecipeError: it is to be trained by steps and cannot be, or the other way round.
    """
    _require_sensible_augmentation(recipe, source)
    mean, std = pixel_statistics(source, split.train, recipe.preprocess.normalize)
    num_classes = len(source.classes)
    with torch.random.fork_rng():
        torch.manual_seed(derived_seed(recipe.seed, "weights"))
        network = build_model(recipe.model.name, source.shape, num_classes, **recipe.model.options)
    model = assemble(Normalize(mean, std), network)
    _require_logits(model, recipe, source)
    _require_learning(model, recipe, source, split)
    return model


def _require_learning(model: nn.Sequential, recipe: Recipe, source: MemorySource, split: Split) -> None:
    """Refuse steps that would change nothing, weights that nothing would change, and too few samples."""
    name, trainable = recipe.model.name, any(p.requires_grad for p in model.parameters())
    if trainable and not recipe.epochs:
        raise RecipeError(f"epochs=0 would leave the weights of {name} as they were drawn; use at least 1")
    if not trainable and recipe.epochs:
        raise RecipeError(
            f"model '{name}' has nothing to train by steps, so that epochs={recipe.epochs} does not apply; "
            "it learns in one pass with epochs=0"
        )
    wanted = "none" if source.is_table else "range"
    if any(isinstance(stage, Features) for stage in model) and recipe.preprocess.normalize != wanted:
        raise RecipeError(
            f"preprocess.normalize={recipe.preprocess.normalize} does not apply: features take "
            f"{'numbers as they are' if source.is_table else 'pixels of 0…1'}; "
            f"use --set preprocess.normalize={wanted}"
        )
    for module in model.modules():
        if isinstance(module, Fitted):
            module.require_samples(len(split.train), len(split.val))


def _require_sensible_augmentation(recipe: Recipe, source: MemorySource) -> None:
    """Refuse augmentation that would leave nothing of an image."""
    if source.is_table and recipe.augment != Augment():
        raise RecipeError(f"augment does not apply: {source.name} is a table of numbers, not of images")
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
