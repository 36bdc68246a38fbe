"""From a recipe to the objects that train."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from convnet.data import (
    Augment,
    Dataset,
    DataSpec,
    Loader,
    Split,
    identify,
    make_split,
    open_spec,
    to_device,
)
from convnet.device import Compute
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
    Freezing,
    Loss,
    Timing,
    Training,
    make_ema,
    parameter_groups,
    rate_factors,
)
from convnet.types import SplitName

Opened = tuple[Dataset, Split]
"""Data and its split."""


@dataclass(frozen=True)
class TrainingSetup:
    """Everything that a recipe asks for, ready to train or to predict.

    `training` trains what remains of the network behind its `front`, whose outputs `inputs` holds.
    """

    recipe: Recipe
    task: Task
    dataset: Dataset
    split: Split
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
        return self.task.evaluate(self.training.evaluated, self.inputs, indices, loss, self.training.compute)


def open_recipe_data(recipe: Recipe, spec: DataSpec | None = None) -> Dataset:
    """The recipe's data, decoded and resized; `spec` where the data was identified already."""
    if spec is None or spec.source != recipe.data.source:
        spec = identify(recipe.data.source)
    return open_spec(spec, recipe.data, recipe.preprocess, task_of(recipe).annotation)


def build(
    recipe: Recipe,
    compute: Compute,
    *,
    data: Opened | None = None,
    network: nn.Sequential | None = None,
    fitted_state: State | None = None,
    load: bool = True,
) -> TrainingSetup:
    """Open the data, split it, measure its statistics, build the network and what trains it.

    The same recipe gives the same weights.

    Args:
        recipe: What to train.
        compute: Where, and in which precision.
        data: The data and its split, where they are opened already.
        network: The recipe's network, where it is built already.
        fitted_state: What fitted stages learned before.
        load: Whether pretrained weights are read; not where a checkpoint follows.

    Raises:
        ConvnetError: whatever the recipe asks for cannot be had; the message says what to change.
    """
    task = task_of(recipe)
    dataset, split = data or split_data(recipe, open_recipe_data(recipe))
    model = network if network is not None else build_network(recipe, dataset, split, load=load)
    dataset = to_device(dataset, compute.device)
    model = model.to(compute.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if compute.device.type == "cpu":
        guard_narrow_convolutions(model)
    augmented = recipe.augment != Augment()
    prepared = prepare(model, dataset, split, augmented=augmented, fitted_state=fitted_state)
    batches = Loader(
        prepared.inputs,
        split.train,
        recipe.batch_size,
        seed=recipe.seed,
        augment=recipe.augment,
        transform=task.transform,
        weights=sampling_weights(recipe.balance, dataset, split.train),
    )
    name, options = choose_loss(recipe.balance, recipe.loss.name, recipe.loss.options, dataset, split.train)
    loss = task.fit_loss(LOSSES.build(name, **options))
    training = _make_training(recipe, loss, task, prepared.head, batches, compute)
    return TrainingSetup(
        recipe,
        task,
        dataset,
        split,
        prepared.front,
        prepared.inputs,
        training,
        batches,
        prepared.seconds,
    )


def split_data(recipe: Recipe, dataset: Dataset) -> Opened:
    """The data and its split as the recipe says."""
    return dataset, make_split(dataset, recipe.split)


def _make_training(
    recipe: Recipe, loss: Loss, task: Task, model: nn.Sequential, batches: Loader, compute: Compute
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
        metric=task.metric,
        freezing=Freezing(model, heads, weights.freeze_epochs) if weights and weights.freeze_epochs else None,
        compute=compute,
        seed=recipe.seed,
    )
