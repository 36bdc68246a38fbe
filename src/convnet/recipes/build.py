"""Build everything that trains a recipe: data, network, loss, optimizer, schedule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn, optim

from convnet.data import (
    Augment,
    Dataset,
    DataSpec,
    Loader,
    Split,
    identify_source,
    make_split,
    open_spec,
    to_device,
)
from convnet.device import Compute, Precision, make_compute
from convnet.errors import RecipeError
from convnet.layers import Network, guard_narrow_convolutions
from convnet.recipes.balance import choose_loss, sampling_weights
from convnet.recipes.network import build_network, encoder_of, task_of
from convnet.recipes.precompute import Prepared, State, prepare
from convnet.recipes.recipe import Recipe
from convnet.recipes.transfer import fit_head
from convnet.recipes.weights import new_parts
from convnet.tasks import Evaluation, Task
from convnet.tasks.own_metrics import with_metrics
from convnet.training import (
    LOSSES,
    OPTIMIZERS,
    SCHEDULES,
    Freezing,
    Loss,
    Timing,
    Training,
    make_ema,
    network_parts,
    parameter_groups,
    rate_factors,
)
from convnet.types import SplitName

Opened = tuple[Dataset, Split]
"""A dataset and its split."""


@dataclass(frozen=True)
class TrainingSetup:
    """The objects that a recipe describes, ready to train or to evaluate.

    Attributes:
        recipe: The recipe.
        task: Its task.
        dataset: The data.
        split: Its split.
        front: The fixed first stages of the network, computed once for all samples; often empty.
        inputs: The data as `front` maps it.
        training: The training of the remaining stages.
        batches: The training batches of `inputs`.
        fit_seconds: The time spent on fitting stages.
        network: The whole network as it is trained: pixels → logits.
        head: Loss and metrics of a fitted head by split, before further training; None without one.
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
    network: Network
    head: Mapping[str, Any] | None = None

    @property
    def model(self) -> Network:
        """The whole network in the form that is evaluated: pixels → logits."""
        if self.training.ema is None:
            return self.network
        head = self.training.evaluated
        assert isinstance(head, nn.Sequential)
        return Network(*self.front, *head)

    def evaluate(self, split: SplitName, *, precision: Precision | None = None) -> Evaluation | None:
        """Evaluate a split with the recipe's loss (without balancing); None if the split is empty.

        Args:
            split: The split.
            precision: Default: that of training.
        """
        indices = self.split[split]
        if not len(indices):
            return None
        loss = self.task.fit_loss(LOSSES.build(self.recipe.loss.name, **self.recipe.loss.options))
        compute = self.training.compute
        if precision is not None:
            compute = make_compute(compute.device.type, precision)
        found = self.task.evaluate(self.training.evaluated, self.inputs, indices, loss, compute)
        return with_metrics(found, self.recipe.metrics)


def open_recipe_data(recipe: Recipe, spec: DataSpec | None = None) -> Dataset:
    """Open the recipe's data.

    Args:
        recipe: The recipe.
        spec: Its data, if it is already identified.

    Raises:
        DataError: The data is missing or cannot be read.
    """
    if spec is None or spec.source != recipe.data.source:
        spec = identify_source(recipe.data.source)
    return open_spec(spec, recipe.data, recipe.preprocess, task_of(recipe).annotation)


def build(
    recipe: Recipe,
    compute: Compute,
    *,
    data: Opened | None = None,
    network: Network | None = None,
    fitted_state: State | None = None,
    load: bool = True,
) -> TrainingSetup:
    """Open and split the data, build the network and everything that trains it.

    The same recipe gives the same weights.

    Args:
        recipe: The recipe.
        compute: Device and precision.
        data: The data and its split, if already open.
        network: The recipe's network, if already built.
        fitted_state: The state of fitted stages from an earlier call.
        load: Whether to load pretrained weights; False if a checkpoint is restored afterwards.

    Returns:
        The objects, ready to train.

    Raises:
        ConvnetError: The recipe cannot be built; the message says what to change.
    """
    task = task_of(recipe)
    dataset, split = data or split_data(recipe, open_recipe_data(recipe))
    model = network if network is not None else build_network(recipe, dataset, split, load=load)
    dataset = to_device(dataset, compute.device)
    model = model.to(compute.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if compute.device.type == "cpu":
        guard_narrow_convolutions(model)
    if recipe.weights is None or recipe.weights.finetune is None:
        augmented = recipe.augment != Augment()
        prepared, head = prepare(model, dataset, split, augmented=augmented, fitted_state=fitted_state), None
    elif fitted_state is not None:
        model.load_state_dict(fitted_state)
        prepared, head = Prepared(nn.Sequential(), model, dataset, split, 0.0), None
    else:
        prepared, head = fit_head(model, dataset, split, recipe, task, compute)
    split = prepared.split
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
        model,
        head,
    )


def split_data(recipe: Recipe, dataset: Dataset) -> Opened:
    """The dataset and its split according to the recipe."""
    return dataset, make_split(dataset, recipe.split)


def with_epochs(setup: TrainingSetup, recipe: Recipe) -> TrainingSetup:
    """A setup whose training has not begun, for a recipe that differs in the number of epochs."""
    timing = Timing(setup.batches.steps, recipe.epochs)
    training = replace(
        setup.training,
        schedule=SCHEDULES.build(recipe.schedule.name, timing, **recipe.schedule.options),
        freezing=_freezing(recipe, setup.network),
    )
    return replace(setup, recipe=recipe, training=training)


def _make_training(
    recipe: Recipe, loss: Loss, task: Task, model: nn.Sequential, batches: Loader, compute: Compute
) -> Training:
    timing = Timing(batches.steps, recipe.epochs)
    return Training(
        model=model,
        loss=loss,
        optimizer=make_optimizer(recipe, model),
        schedule=SCHEDULES.build(recipe.schedule.name, timing, **recipe.schedule.options),
        regularizers=recipe.regularizers,
        clip_norm=recipe.clip_norm,
        ema=make_ema(model, recipe.ema) if recipe.ema is not None else None,
        metric=task.metric,
        freezing=_freezing(recipe, model),
        compute=compute,
        seed=recipe.seed,
    )


def make_optimizer(recipe: Recipe, model: nn.Module) -> optim.Optimizer:
    """The optimizer of a recipe for the parameters of a model that are to be trained.

    Args:
        recipe: The recipe.
        model: Modules in sequence, the last of which is the network.
    """
    # Without weight decay one group suffices: one call of a fused optimizer.
    decays = bool(recipe.optimizer.options.get("weight_decay"))
    assert isinstance(model, nn.Sequential)
    weights, network = recipe.weights, model[-1]
    groups = parameter_groups(
        model,
        decay_all=recipe.decay_biases or not decays,
        lr=_rate(recipe) if weights else 0.0,
        factors=rate_factors(network, weights.rate_decay, _encoder(recipe, network)) if weights else None,
    )
    built: optim.Optimizer = OPTIMIZERS.build(recipe.optimizer.name, groups, **recipe.optimizer.options)
    return built


def _freezing(recipe: Recipe, model: nn.Sequential) -> Freezing | None:
    """The parts that are trained at first: those with random weights, and the last parts before them."""
    weights = recipe.weights
    if weights is None or not recipe.epochs:
        return None
    assert weights.freeze_norms != "auto", "the recipe is settled"
    network, encoder = model[-1], _encoder(recipe, model[-1])
    new = [network.get_submodule(name) for name in new_parts(network, encoder_of(recipe))]
    last = [module for part in network_parts(network)[-weights.last_parts :] for module in part]
    trained = (*new, *(last if weights.last_parts > 1 else []))
    fixed = network if encoder is None else encoder
    return Freezing(
        model, trained, weights.frozen_epochs(recipe.epochs), fixed if weights.freeze_norms else None
    )


def _encoder(recipe: Recipe, network: nn.Module) -> nn.Module | None:
    return None if encoder_of(recipe) is None else network.get_submodule("encoder")


def _rate(recipe: Recipe) -> float:
    """The learning rate that is graded over the layers of pretrained weights."""
    rate = recipe.optimizer.options.get("lr")
    if rate is None:
        raise RecipeError(
            f"pretrained weights need the learning rate of optimizer '{recipe.optimizer.name}'; use --lr"
        )
    return float(rate)
