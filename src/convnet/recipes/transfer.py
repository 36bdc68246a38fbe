"""The first stage of fine-tuning: a head fitted to the embeddings of a network with published weights."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from convnet.data import Dataset, Split, with_images
from convnet.device import INFERENCE, Compute, make_compute
from convnet.errors import ModelError
from convnet.layers import Network
from convnet.recipes.embeddings import embedding_identity, embeddings
from convnet.recipes.precompute import Prepared, State
from convnet.recipes.recipe import Recipe
from convnet.recipes.weights import head_names
from convnet.tasks import Task
from convnet.training import LOSSES, fit_logistic

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class HeadFit:
    """The result of fitting a head.

    Attributes:
        inputs: The data with embeddings D×1×1 in place of images.
        layers: Embeddings → outputs; shares its weights with the network.
        scores: Loss and metrics by split, as in result.json.
        seconds: The time of computing embeddings and fitting.
    """

    inputs: Dataset
    layers: nn.Sequential
    scores: Mapping[str, Any]
    seconds: float


def fit_head(
    model: Network, dataset: Dataset, split: Split, recipe: Recipe, task: Task, compute: Compute
) -> HeadFit:
    """Fit the last layer of a network to the training samples, by logistic regression.

    Args:
        model: The network on its device, with pretrained weights; its last layer is changed in place.
        dataset: The data.
        split: Its split.
        recipe: The recipe.
        task: Its task.
        compute: Device and precision.

    Returns:
        The data as embeddings, the head, and its metrics on held-out samples.

    Raises:
        ModelError: The network does not end in a dense layer that reads its embedding.
        DataError: An image cannot be read.
    """
    assert recipe.weights is not None
    began = time.perf_counter()
    last = _last_layer(model, recipe.model.name)
    logger.info("computing embeddings of %s images by %s", f"{len(dataset):,}", recipe.model.name)
    identity = embedding_identity(
        recipe.model.name, recipe.weights.sha256, dataset.info.shape, recipe.preprocess, compute.device.type
    )
    limit = None if recipe.minutes is None else 60 * recipe.minutes
    found = embeddings(model, dataset, identity, seconds=limit)
    if found.shape[1] != last.in_features:
        raise ModelError(_not_linear(recipe.model.name))
    targets = dataset.info.target.batch(dataset.targets).cpu()
    aside = (found[split.val], targets[split.val]) if len(split.val) else None
    fitted = fit_logistic(
        found[split.train],
        targets[split.train],
        last.out_features,
        held_out=aside,
        balanced=recipe.balance != "none",
    )
    with torch.no_grad():
        last.weight.copy_(fitted.weight)
        last.bias.copy_(fitted.bias)
    inputs = with_images(dataset, found[:, :, None, None].to(compute.device))
    layers = nn.Sequential(nn.Flatten(), last)
    seconds = time.perf_counter() - began
    scores = _scores(recipe, task, layers, inputs, split, compute)
    return HeadFit(
        inputs, layers, {**scores, "penalty": fitted.penalty, "seconds": round(seconds, 3)}, seconds
    )


def prepare_transfer(
    model: Network,
    dataset: Dataset,
    split: Split,
    recipe: Recipe,
    task: Task,
    compute: Compute,
    fitted_state: State | None = None,
) -> tuple[Prepared, Mapping[str, Any] | None]:
    """Fit the head, and divide the network if only its head is trained.

    Args:
        model: The network on its device, with pretrained weights; its last layer is changed in place.
        dataset: The data.
        split: Its split.
        recipe: The recipe.
        task: Its task.
        compute: Device and precision.
        fitted_state: The state of the network after an earlier call; then nothing is fitted.

    Returns:
        The divided network with its inputs, and the metrics of the head, if it was fitted.
    """
    if fitted_state is not None:
        model.load_state_dict(fitted_state)
        return Prepared(nn.Sequential(), model, dataset, 0.0), None
    assert recipe.weights is not None
    fitted = fit_head(model, dataset, split, recipe, task, compute)
    if recipe.weights.finetune == "head":
        return Prepared(nn.Sequential(), fitted.layers, fitted.inputs, fitted.seconds), fitted.scores
    return Prepared(nn.Sequential(), model, dataset, fitted.seconds), fitted.scores


def _last_layer(model: Network, name: str) -> nn.Linear:
    layer = model.network.get_submodule(head_names(model.network)[0])
    if not isinstance(layer, nn.Linear) or layer.bias is None or not model.has_embedding:
        raise ModelError(_not_linear(name))
    return layer


def _not_linear(name: str) -> str:
    return (
        f"weights.finetune does not apply to model '{name}': its last layer is not a dense layer that reads "
        "the embedding; use --set weights.finetune=null"
    )


def _scores(
    recipe: Recipe, task: Task, layers: nn.Sequential, inputs: Dataset, split: Split, compute: Compute
) -> dict[str, Any]:
    loss = task.fit_loss(LOSSES.build(recipe.loss.name, **recipe.loss.options))
    exact = make_compute(compute.device.type, INFERENCE)
    scores: dict[str, Any] = {}
    for name in ("val", "test"):
        indices: Tensor = split[name]
        if len(indices):
            found = task.evaluate(layers, inputs, indices, loss, exact)
            scores[name] = {"loss": found.loss, **found.scores(), "samples": len(found)}
        else:
            scores[name] = None
    return scores
