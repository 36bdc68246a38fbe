"""From a recipe to the objects that train: a workbench."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from convnet.data import (
    Augment,
    Loader,
    MemorySource,
    Split,
    keep_classes,
    make_split,
    open_data,
    pixel_statistics,
)
from convnet.device import derived_seed, make_fabric, resolve_precision
from convnet.errors import ModelError, RecipeError
from convnet.features import Features
from convnet.layers import Fitted, Normalize, guard_narrow_convolutions, sizes_of
from convnet.models import build_model
from convnet.recipes.recipe import Recipe
from convnet.recipes.stages import State, assemble, prepare
from convnet.recipes.weights import head_of, load_weights
from convnet.tasks import TASKS, Evaluation, Task
from convnet.training import (
    LOSSES,
    OPTIMIZERS,
    SCHEDULES,
    Freezing,
    Timing,
    Training,
    make_ema,
    parameter_groups,
    rate_factors,
)
from convnet.types import ImageShape, SplitName

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True)
class Workbench:
    """Everything that a recipe asks for, ready to train or to predict.

    `training` trains what remains of the network behind its `front`, whose outputs `inputs` holds.
    """

    recipe: Recipe
    task: Task
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
        return self.task.evaluate(
            self.training.evaluated, self.inputs, indices, self.training.loss, self.fabric
        )


def task_of(recipe: Recipe) -> Task:
    """The task that the recipe names."""
    task: Task = TASKS.build(recipe.task.name, **recipe.task.options)
    return task


def open_recipe_data(recipe: Recipe, data_dir: Path | None) -> MemorySource:
    """The recipe's data, decoded and resized."""
    source = open_data(
        recipe.data.source,
        recipe.preprocess,
        data_dir=data_dir,
        skip_unreadable=recipe.data.skip_unreadable,
        label=recipe.data.label,
        ignore=recipe.data.ignore,
        reads=task_of(recipe).reads,
        series=recipe.data.series,
        colors=recipe.data.colors,
        ignore_index=recipe.data.ignore_index,
    )
    return source if recipe.data.classes is None else keep_classes(source, recipe.data.classes)


def build(
    recipe: Recipe,
    *,
    device: str,
    data_dir: Path | None = None,
    source: MemorySource | None = None,
    split: Split | None = None,
    learnt: State | None = None,
    load: bool = True,
    say: Callable[[str], object] = lambda line: None,
) -> Workbench:
    """Open the data, split it, measure its statistics, build the network and what trains it.

    `source` and `split` may be given where they are there already, and `learnt`, what fitted stages learnt
    before; without `load`, weights from elsewhere are not read, because a checkpoint follows. The same recipe
    gives the same weights. `say` hears what takes long.

    Raises:
        ConvnetError: whatever the recipe asks for cannot be had; the message says what to change.
    """
    task = task_of(recipe)
    fabric = make_fabric(device, resolve_precision(recipe.precision, device))
    source = source or open_recipe_data(recipe, data_dir)
    split = split or make_split(source, recipe.split)
    model = build_network(recipe, source, split, load=load, say=say)
    source = source.to(fabric.device)
    model = model.to(fabric.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if fabric.device.type == "cpu":
        guard_narrow_convolutions(model)
    augmented = recipe.augment != Augment()
    prepared = prepare(model, source, split, augmented=augmented, learnt=learnt, say=say)
    batches = Loader(
        prepared.inputs,
        split.train,
        recipe.batch_size,
        seed=recipe.seed,
        augment=recipe.augment,
        pair=task.pair,
    )
    training = _make_training(recipe, task, prepared.head, batches)
    return Workbench(
        recipe,
        task,
        source,
        split,
        fabric,
        prepared.front,
        prepared.inputs,
        training,
        batches,
        prepared.seconds,
    )


def _make_training(recipe: Recipe, task: Task, model: nn.Sequential, batches: Loader) -> Training:
    # Where nothing decays, nothing is spared: one group, one call of a fused optimizer.
    decays = bool(recipe.optimizer.options.get("weight_decay"))
    weights, network = recipe.weights, model[-1]
    groups = parameter_groups(
        model,
        decay_all=recipe.decay_biases or not decays,
        lr=recipe.optimizer.options["lr"] if weights else 0.0,
        factors=rate_factors(network, weights.rate_decay) if weights else None,
    )
    heads = tuple(network.get_submodule(name) for name in head_of(network)) if weights else ()
    timing = Timing(batches.steps, recipe.epochs)
    return Training(
        model=model,
        loss=task.fit_loss(LOSSES.build(recipe.loss.name, **recipe.loss.options)),
        optimizer=OPTIMIZERS.build(recipe.optimizer.name, groups, **recipe.optimizer.options),
        schedule=SCHEDULES.build(recipe.schedule.name, timing, **recipe.schedule.options),
        regularizers=recipe.regularizers,
        clip_norm=recipe.clip_norm,
        ema=make_ema(model, recipe.ema) if recipe.ema is not None else None,
        measure=task.measure,
        freezing=Freezing(model, heads, weights.freeze_epochs) if weights and weights.freeze_epochs else None,
        seed=recipe.seed,
    )


def build_network(
    recipe: Recipe,
    source: MemorySource,
    split: Split,
    *,
    load: bool = True,
    say: Callable[[str], object] = lambda line: None,
) -> nn.Sequential:
    """Normalisation, with the statistics of the training split, and the recipe's network behind it.

    Weights from elsewhere are put into it, and accounted for to `say`, unless `load` is off.

    Raises:
        ModelError: the network does not fit the images, or does not end in what the task needs.
        RecipeError: it is to be trained by steps and cannot be, or the other way round.
    """
    _require_sensible_augmentation(recipe, source)
    shape = network_shape(recipe, source)
    mean, std = pixel_statistics(source, split.train, recipe.preprocess.normalize)
    outputs = task_of(recipe).outputs(source)
    with torch.random.fork_rng():
        torch.manual_seed(derived_seed(recipe.seed, "weights"))
        network = build_model(recipe.model.name, shape, outputs, **recipe.model.options)
    model = assemble(Normalize(mean, std), network)
    _require_outputs(model, recipe, shape, outputs)
    _require_learning(model, recipe, source, split)
    if recipe.weights is not None and load:
        say(str(load_weights(model, recipe.model.name, recipe.weights)))
    return model


def network_shape(recipe: Recipe, source: MemorySource) -> ImageShape:
    """The shape of the images that the network is trained on: crops, or whole images.

    Raises:
        RecipeError: images of different sizes make no batches unless crops are cut out of them.
    """
    channels, height, width = source.shape
    crop = recipe.augment.crop
    if crop:
        sides = torch.tensor([[height, width]]) if source.sizes is None else source.sizes
        if crop > int(sides.min()):
            raise RecipeError(
                f"augment.crop={crop} is more than the smallest image of {source.name} has "
                f"({int(sides.min())} pixels a side); use less"
            )
        return ImageShape(channels, crop, crop)
    if source.sizes is not None and recipe.batch_size > 1:
        raise RecipeError(
            f"{source.name}: has images of different sizes, which make no batches; cut crops out of them "
            "(--set augment.crop=96), or resize all (--set preprocess.image_size=128)"
        )
    return source.shape


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
    table = source.form == "table"
    wanted = "none" if table else "range"
    if any(isinstance(stage, Features) for stage in model) and recipe.preprocess.normalize != wanted:
        raise RecipeError(
            f"preprocess.normalize={recipe.preprocess.normalize} does not apply: features take "
            f"{'numbers as they are' if table else 'pixels of 0…1'}; "
            f"use --set preprocess.normalize={wanted}"
        )
    if source.form == "series" and source.images.isnan().any() and name != "temporal" and ":" not in name:
        raise RecipeError(
            f"{source.name}: series of different lengths, which '{name}' cannot tell apart from gaps; use "
            "--model temporal"
        )
    for module in model.modules():
        if isinstance(module, Fitted):
            module.require_samples(len(split.train), len(split.val))


def _require_sensible_augmentation(recipe: Recipe, source: MemorySource) -> None:
    """Refuse augmentation that would leave nothing of an image."""
    if source.form != "images" and recipe.augment != Augment():
        raise RecipeError(f"augment does not apply: {source.name} is a {source.form} of numbers, not images")
    if recipe.augment.crop and task_of(recipe).target == "class":
        raise RecipeError(
            "augment.crop is for masks and images; a classifier's images are moved by pad_crop or shift, "
            "or cropped by random_resized_crop"
        )
    side = min(source.shape.height, source.shape.width)
    for name in ("shift", "pad_crop", "cutout"):
        if getattr(recipe.augment, name) >= max(side, 2):
            raise RecipeError(
                f"augment.{name}={getattr(recipe.augment, name)} leaves nothing of {source.shape} images; "
                f"use less than {side}"
            )


@torch.no_grad()
def _require_outputs(model: nn.Sequential, recipe: Recipe, shape: ImageShape, outputs: int) -> None:
    """Run two images through a network whose output is not certain: a user's, or one that makes maps."""
    name, task = recipe.model.name, task_of(recipe)
    if ":" not in name and task.target == "class":
        return
    height, width = shape.height, shape.width
    sizes = sizes_of(model)
    for side in (height, width):
        if side > 1 and sizes.taken(side - sizes.shrink) != side:
            smaller = sizes.taken(max(1, side - sizes.shrink - sizes.multiple + 1))
            raise RecipeError(
                f"model '{name}' does not take a side of {side} pixels, only {smaller} or "
                f"{sizes.taken(side - sizes.shrink)}; crop with --set augment.crop={smaller}"
            )
    try:
        with torch.random.fork_rng():
            made = model.eval()(torch.zeros(2, *shape))
            found = tuple(made.shape) if isinstance(made, torch.Tensor) else type(made).__name__
    except Exception as error:  # a user's code may raise anything; the message must name it
        message = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ModelError(f"model '{name}' fails on {shape} images: {message}") from error
    finally:
        model.train()
    what = f"a classifier of {outputs} classes"
    expected: tuple[int, ...] = (2, outputs)
    if task.target != "class":
        what = f"task {task.name}"
        expected = (2, outputs, height - sizes.shrink, width if height == 1 else width - sizes.shrink)
    if found != expected:
        raise ModelError(f"model '{name}' maps two {shape} images to {found}; {what} must return {expected}")
