"""The first stage of fine-tuning: a head fitted to the embeddings of a network with published weights."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from convnet.data import Dataset, Split, with_images
from convnet.device import INFERENCE, Compute, make_compute
from convnet.errors import ModelError
from convnet.layers import Network
from convnet.recipes.embeddings import embedding_identity, embeddings
from convnet.recipes.precompute import Prepared
from convnet.recipes.recipe import Recipe
from convnet.recipes.weights import head_names
from convnet.tasks import Task
from convnet.training import LOSSES, fit_logistic

logger = logging.getLogger(__name__)


def fit_head(
    model: Network, dataset: Dataset, split: Split, recipe: Recipe, task: Task, compute: Compute
) -> tuple[Prepared, Mapping[str, Any]]:
    """Fit the last layer of a network to the training samples, by logistic regression.

    Args:
        model: The network on its device, with pretrained weights; its last layer is changed in place.
        dataset: The data.
        split: Its split.
        recipe: The recipe.
        task: Its task.
        compute: Device and precision.

    Returns:
        What is trained from here: the whole network, or if the recipe trains only the head, the head on
        embeddings D×1×1; and the metrics of the head by split, as in result.json.

    Raises:
        ModelError: The network does not end in a dense layer that reads its embedding.
        DataError: No image can be read.
    """
    assert recipe.weights is not None
    began = time.perf_counter()
    last = _last_layer(model, recipe.model.name)
    logger.info("computing embeddings of %s images with %s", f"{len(dataset):,}", recipe.model.name)
    identity = embedding_identity(
        model,
        recipe.model.name,
        recipe.model.options,
        recipe.weights.sha256,
        dataset.info.shape,
        recipe.preprocess,
        compute.device.type,
    )
    used = torch.cat([split.train, split.val, split.test])
    limit = None if recipe.minutes is None else 60 * recipe.minutes
    found = embeddings(model, dataset, identity, indices=used, seconds=limit)
    vectors, split = found.vectors, split.among(found.known)
    if vectors.shape[1] != last.in_features:
        raise ModelError(_not_linear(recipe.model.name))
    targets = dataset.info.target.batch(dataset.targets).cpu()
    aside = (vectors[split.val], targets[split.val]) if len(split.val) else None
    fitted = fit_logistic(
        vectors[split.train],
        targets[split.train],
        last.out_features,
        held_out=aside,
        balanced=recipe.balance != "none",
    )
    with torch.no_grad():
        last.weight.copy_(fitted.weight)
        last.bias.copy_(fitted.bias)
    inputs = with_images(dataset, vectors[:, :, None, None].to(compute.device))
    layers = nn.Sequential(nn.Flatten(), last)
    seconds = time.perf_counter() - began
    scores = _scores(recipe, task, layers, inputs, split, compute)
    scores |= {"penalty": fitted.penalty, "seconds": round(seconds, 3)}
    front = nn.Sequential()
    if recipe.weights.finetune == "head":
        return Prepared(front, layers, inputs, split, seconds), scores
    return Prepared(front, model, dataset, split, seconds), scores


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
