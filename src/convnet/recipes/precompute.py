"""Fit and precompute the first stages of a network, so that only the remaining ones are trained."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from convnet.data import MEMORY_LIMIT_BYTES, Dataset, Loader, Split, TensorDataset, with_images
from convnet.errors import DataError
from convnet.features import Features
from convnet.layers import Fitted, Passes, Standardize
from convnet.models.legacy import with_current_names

BATCH = 512
logger = logging.getLogger(__name__)

State = dict[str, Tensor]


@dataclass(frozen=True)
class Prepared:
    """A network divided into a fixed part, whose outputs are precomputed, and the part to train.

    Attributes:
        front: The fixed stages; empty if nothing is precomputed.
        head: The stages to train.
        inputs: The dataset with the outputs of `front` in place of images.
        split: The split of those samples that are there.
        seconds: The time spent on fitting and computing.
    """

    front: nn.Sequential
    head: nn.Sequential
    inputs: Dataset
    split: Split
    seconds: float


def prepare(
    model: nn.Sequential,
    dataset: Dataset,
    split: Split,
    *,
    augmented: bool,
    fitted_state: State | None = None,
) -> Prepared:
    """Fit stages in order and compute fixed features once for all samples.

    Nothing is precomputed if images are augmented or the features do not fit into memory.

    Args:
        model: The network.
        dataset: The data.
        split: Its split; stages are fitted to the training samples.
        augmented: Whether training images are augmented.
        fitted_state: The state of the fitted stages from an earlier call; then nothing is fitted.

    Returns:
        The divided network and the precomputed inputs.
    """
    if not any(isinstance(stage, Fitted) for stage in model):
        return Prepared(nn.Sequential(), model, dataset, split, 0.0)
    begun, done = time.perf_counter(), 0
    if fitted_state is not None:
        model.load_state_dict(with_current_names(fitted_state, list(model.state_dict())))
    model.eval()
    for place, stage in enumerate(model, start=1):
        if isinstance(stage, Features):
            which = "every batch" if augmented else f"{len(dataset):,} samples"
            logger.info("computing %s features of %s", f"{stage.out_features:,}", which)
        if isinstance(stage, Fitted) and fitted_state is None:
            before = _part(model, done, place - 1)
            val = _passes(before, dataset, split.val) if len(split.val) else None
            stage.fit(_passes(before, dataset, split.train), val)
        fixed = isinstance(stage, Features) or (done and isinstance(stage, Standardize))
        if fixed and not augmented and _fits(stages := _part(model, done, place), dataset):
            dataset, done = _computed(stages, dataset, own=bool(done)), place
    model.train()
    seconds = time.perf_counter() - begun
    return Prepared(_part(model, 0, done), _part(model, done, len(model)), dataset, split, seconds)


def _part(model: nn.Sequential, first: int, end: int) -> nn.Sequential:
    return nn.Sequential(*list(model)[first:end])


def _passes(before: nn.Module, dataset: Dataset, indices: Tensor) -> Passes:
    def once() -> Iterator[tuple[Tensor, Tensor]]:
        for batch in Loader(dataset, indices, BATCH).epoch():
            yield before(batch.images), batch.targets

    return once


@torch.no_grad()
def _fits(stages: nn.Module, dataset: Dataset) -> bool:
    numbers = stages(dataset.read(torch.zeros(1, dtype=torch.int64)).images).numel()
    return bool(4 * numbers * len(dataset) <= MEMORY_LIMIT_BYTES)


@torch.no_grad()
def _computed(stages: nn.Module, dataset: Dataset, *, own: bool) -> Dataset:
    """The dataset with the outputs of the stages in place of images.

    Outputs of an earlier call (`own`) are overwritten if the shape stays the same.
    """
    batches = Loader(dataset, torch.arange(len(dataset)), BATCH).epoch()
    images: Tensor | None = None
    done = 0
    for batch in batches:
        out = stages(batch.images)
        if images is None:
            shape = (len(dataset), *out.shape[1:])
            if own and isinstance(dataset, TensorDataset) and dataset.images.shape == shape:
                images = dataset.images
            else:
                images = out.new_empty(shape)
        images[batch.indices] = out
        done += len(batch)
    if images is None or done < len(dataset):
        raise DataError(
            f"{dataset.info.name}: {len(dataset) - done} images cannot be read "
            f"({dataset.info.unreadable[-1]} …); run 'convnet data audit', after which training skips them"
        )
    return with_images(dataset, images)
