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
    Dataset,
    Loader,
    Split,
    make_split,
    open_data,
    select_classes,
)
from convnet.device import make_fabric, resolve_precision
from convnet.layers import guard_narrow_convolutions
from convnet.recipes.balance import choose_loss, sampling_weights
from convnet.recipes.network import build_network, task_of
from convnet.recipes.precompute import State, prepare
from convnet.recipes.recipe import Recipe
from convnet.recipes.weights import head_names
from convnet.tasks import Evaluation, Task
from convnet.training import (
    LOSSES,
    OPTIMIZERS,
    SCHEDULES,
    BatchMetric,
    Freezing,
    Loss,
    Timing,
    Training,
    make_ema,
    parameter_groups,
    rate_factors,
)
from convnet.types import SplitName

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True)
class TrainingSetup:
    """Everything that a recipe asks for, ready to train or to predict.

    `training` trains what remains of the network behind its `front`, whose outputs `inputs` holds.
    """

    recipe: Recipe
    task: Task
    dataset: Dataset
    split: Split
    fabric: Fabric
    front: nn.Sequential
    inputs: Dataset
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
        """Predictions for a split of the recipe's data, at its loss, whatever the balance; None if empty."""
        indices = self.split[split]
        if not len(indices):
            return None
        loss = self.task.fit_loss(LOSSES.build(self.recipe.loss.name, **self.recipe.loss.options))
        return self.task.evaluate(self.training.evaluated, self.inputs, indices, loss, self.fabric)


def open_recipe_data(
    recipe: Recipe, data_dir: Path | None, say: Callable[[str], object] = lambda line: None
) -> Dataset:
    """The recipe's data, decoded and resized."""
    dataset = open_data(
        recipe.data.source,
        recipe.preprocess,
        data_dir=data_dir,
        label=recipe.data.label,
        ignore=recipe.data.ignore,
        reads=task_of(recipe).reads,
        series=recipe.data.series,
        colors=recipe.data.colors,
        ignore_index=recipe.data.ignore_index,
        say=say,
    )
    return dataset if recipe.data.classes is None else select_classes(dataset, recipe.data.classes)


def build(
    recipe: Recipe,
    *,
    device: str,
    data_dir: Path | None = None,
    dataset: Dataset | None = None,
    split: Split | None = None,
    network: nn.Sequential | None = None,
    fitted_state: State | None = None,
    load: bool = True,
    say: Callable[[str], object] = lambda line: None,
) -> TrainingSetup:
    """Open the data, split it, measure its statistics, build the network and what trains it.

    `source`, `split` and `network` may be given where they are there already, and `fitted_state`, what fitted
    stages learnt before; without `load`, weights from elsewhere are not read, because a checkpoint follows.
    The same recipe gives the same weights. `say` hears what takes long.

    Raises:
        ConvnetError: whatever the recipe asks for cannot be had; the message says what to change.
    """
    task = task_of(recipe)
    fabric = make_fabric(device, resolve_precision(recipe.precision, device))
    dataset = dataset or open_recipe_data(recipe, data_dir, say)
    split = split or make_split(dataset, recipe.split)
    model = network if network is not None else build_network(recipe, dataset, split, load=load, say=say)
    dataset = dataset.to(fabric.device)
    model = model.to(fabric.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if fabric.device.type == "cpu":
        guard_narrow_convolutions(model)
    augmented = recipe.augment != Augment()
    prepared = prepare(model, dataset, split, augmented=augmented, fitted_state=fitted_state, say=say)
    batches = Loader(
        prepared.inputs,
        split.train,
        recipe.batch_size,
        seed=recipe.seed,
        augment=recipe.augment,
        transform=task.transform,
        weights=sampling_weights(recipe.balance, dataset, split.train),
        rank=fabric.global_rank,
        world=fabric.world_size,
    )
    name, options = choose_loss(recipe.balance, recipe.loss.name, recipe.loss.options, dataset, split.train)
    loss = task.fit_loss(LOSSES.build(name, **options))
    training = _make_training(recipe, loss, task.metric, prepared.head, batches)
    return TrainingSetup(
        recipe,
        task,
        dataset,
        split,
        fabric,
        prepared.front,
        prepared.inputs,
        training,
        batches,
        prepared.seconds,
    )


def _make_training(
    recipe: Recipe, loss: Loss, metric: BatchMetric, model: nn.Sequential, batches: Loader
) -> Training:
    # Where nothing decays, nothing is spared: one group, one call of a fused optimizer.
    decays = bool(recipe.optimizer.options.get("weight_decay"))
    weights, network = recipe.weights, model[-1]
    groups = parameter_groups(
        model,
        decay_all=recipe.decay_biases or not decays,
        lr=recipe.optimizer.options["lr"] if weights else 0.0,
        factors=rate_factors(network, weights.rate_decay) if weights else None,
    )
    heads = tuple(network.get_submodule(name) for name in head_names(network)) if weights else ()
    timing = Timing(batches.steps, recipe.epochs)
    return Training(
        model=model,
        loss=loss,
        optimizer=OPTIMIZERS.build(recipe.optimizer.name, groups, **recipe.optimizer.options),
        schedule=SCHEDULES.build(recipe.schedule.name, timing, **recipe.schedule.options),
        regularizers=recipe.regularizers,
        clip_norm=recipe.clip_norm,
        ema=make_ema(model, recipe.ema) if recipe.ema is not None else None,
        metric=metric,
        freezing=Freezing(model, heads, weights.freeze_epochs) if weights and weights.freeze_epochs else None,
        seed=recipe.seed,
    )
