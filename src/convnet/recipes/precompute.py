"""The stages of a network: those that are fixed, those that are fitted, and those trained by steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from convnet.data import MEMORY_LIMIT_BYTES, Loader, MemorySource, Source, Split, recast
from convnet.errors import DataError
from convnet.features import Features
from convnet.layers import Fitted, Normalize, Passes, Standardize
from convnet.models import Pipeline

BATCH = 512

State = dict[str, Tensor]


@dataclass(frozen=True)
class Prepared:
    """The network cut in two: what is fixed from now on, and has been computed, and what remains to train.

    `inputs` is the source with every sample as `front` leaves it; `seconds` is what learning took.
    """

    front: nn.Sequential
    head: nn.Sequential
    inputs: Source
    seconds: float


def assemble(normalize: Normalize, network: nn.Module) -> nn.Sequential:
    """Normalisation and the network behind it; a pipeline stage by stage."""
    return nn.Sequential(normalize, *(network if isinstance(network, Pipeline) else [network]))


def prepare(
    model: nn.Sequential,
    source: Source,
    split: Split,
    *,
    augmented: bool,
    learnt: State | None = None,
    say: Callable[[str], object] = lambda line: None,
) -> Prepared:
    """Fit what is fitted, in the order of the stages, and compute fixed features once for all samples.

    Where images are augmented, or the features of all do not fit into memory, nothing is computed in
    advance: then the front is empty. `learnt` is what an earlier call left in the stages' buffers; with it
    nothing is fitted.
    """
    if not any(isinstance(stage, Fitted) for stage in model):
        return Prepared(nn.Sequential(), model, source, 0.0)
    begun, done = time.perf_counter(), 0
    if learnt is not None:
        model.load_state_dict(learnt)
    model.eval()
    for place, stage in enumerate(model, start=1):
        if isinstance(stage, Features):
            which = "every batch" if augmented else f"{len(source):,} samples"
            say(f"computing {stage.out_features:,} features of {which}")
        if isinstance(stage, Fitted) and learnt is None:
            before = _part(model, done, place - 1)
            val = _passes(before, source, split.val) if len(split.val) else None
            stage.fit(_passes(before, source, split.train), val)
        fixed = isinstance(stage, Features) or (done and isinstance(stage, Standardize))
        if fixed and not augmented and _fits(stages := _part(model, done, place), source):
            source, done = _computed(stages, source, own=bool(done)), place
    model.train()
    seconds = time.perf_counter() - begun
    return Prepared(_part(model, 0, done), _part(model, done, len(model)), source, seconds)


def _part(model: nn.Sequential, first: int, end: int) -> nn.Sequential:
    return nn.Sequential(*list(model)[first:end])


def _passes(before: nn.Module, source: Source, indices: Tensor) -> Passes:
    def once() -> Iterator[tuple[Tensor, Tensor]]:
        for batch in Loader(source, indices, BATCH).epoch():
            yield before(batch.images), batch.targets

    return once


@torch.no_grad()
def _fits(stages: nn.Module, source: Source) -> bool:
    numbers = stages(source.read(torch.zeros(1, dtype=torch.int64)).images).numel()
    return bool(4 * numbers * len(source) <= MEMORY_LIMIT_BYTES)


@torch.no_grad()
def _computed(stages: nn.Module, source: Source, *, own: bool) -> Source:
    """The source with what the stages make of every sample in place of its image.

    What an earlier call made is this module's `own` and overwritten where the shape stays.
    """
    batches = Loader(source, torch.arange(len(source)), BATCH).epoch()
    images: Tensor | None = None
    done = 0
    for batch in batches:
        out = stages(batch.images)
        if images is None:
            shape = (len(source), *out.shape[1:])
            if own and isinstance(source, MemorySource) and source.images.shape == shape:
                images = source.images
            else:
                images = out.new_empty(shape)
        images[batch.indices] = out
        done += len(batch)
    if images is None or done < len(source):
        raise DataError(
            f"{source.name}: {len(source) - done} images cannot be read ({source.skipped[-1]} …); look for "
            "them with 'convnet data audit', after which training leaves them out"
        )
    return recast(source, images)
