"""Embeddings of all samples by a network with fixed weights, computed once and cached."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from convnet.data import MEMORY_LIMIT_BYTES, Dataset, ImageDataset, Preprocess
from convnet.data.batches.prefetch import prefetch
from convnet.data.files.cache import DecodedCache, NoSpaceError, open_cache
from convnet.data.files.remote_file import cache_folder
from convnet.errors import DataError, ModelError, RecipeError
from convnet.explain import Encoder, embed
from convnet.layers import Network, fused
from convnet.types import Batch, ImageShape

EMBEDDED = ("resize", "crop_pct", "interpolation", "background", "white", "allow_truncated", "normalize")
"""The fields of `preprocess` that change an embedding; the shape of images is a separate key."""
BATCH = 32
"""Images per pass. The last batch is filled up, so that an embedding does not depend on its neighbors."""
PREFETCHED = 3
PACED = 10 * BATCH
"""Images after which the pace is known."""
SPOKEN_SECONDS = 20
"""The interval of lines about the progress."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Embeddings:
    """The embeddings of the samples of a dataset.

    Attributes:
        vectors: float32 N×D, on the CPU; zeros for samples without an embedding.
        known: bool N, the samples that have one.
    """

    vectors: Tensor
    known: Tensor


def embeddings(
    model: Network,
    dataset: Dataset,
    identity: Mapping[str, Any],
    *,
    indices: Tensor | None = None,
    seconds: float | None = None,
) -> Embeddings:
    """Compute the embeddings of samples; images that cannot be read are left out.

    Those of image files are cached, so that an interrupted call resumes, and other runs, folds and seeds
    reuse them. A file is identified by name, size and time; only new and changed files are computed.

    Args:
        model: The network, with the weights that it was published or trained with.
        dataset: The data.
        identity: The weights and the preprocessing: whatever changes embeddings besides the content of files.
        indices: The samples. Default: all.
        seconds: The time limit.

    Returns:
        One row per sample of the dataset.

    Raises:
        DataError: No image can be read, or the embeddings do not fit into memory.
        RecipeError: They take longer than the time limit; those computed so far are cached.
        ModelError: An embedding is NaN or infinite.
    """
    example = torch.zeros(1, *dataset.info.shape, dtype=torch.uint8)
    width = embed(model, [example.to(next(model.parameters()).device)]).shape[1]
    if 4 * width * len(dataset) > MEMORY_LIMIT_BYTES:
        raise DataError(
            f"{dataset.info.name}: {len(dataset):,} embeddings of {width:,} numbers exceed the limit of "
            f"{MEMORY_LIMIT_BYTES >> 30} GiB; use --set weights.finetune=null"
        )
    kept = _open_cache(dataset, width, identity)
    found, known = torch.zeros(len(dataset), width), torch.zeros(len(dataset), dtype=torch.bool)
    rows = dataset.rows.numpy() if isinstance(dataset, ImageDataset) else np.arange(len(dataset))
    if kept is not None:
        known = torch.from_numpy(kept.state[rows] == 1)
        stored = kept.read(rows[known.numpy()]).reshape(-1, 4 * width)
        found[known] = torch.from_numpy(stored.view(np.float32))
    wanted = torch.arange(len(dataset)) if indices is None else indices.cpu().unique()
    missing = wanted[~known[wanted]]
    fast = Encoder(_fused(model, example) if len(missing) else model)
    began = spoken = perf_counter()
    done = 0
    for batch in prefetch(_batches(dataset, missing), PREFETCHED):
        vectors = _embed(fast, batch.images)
        read = batch.indices.cpu()
        found[read], known[read] = vectors, True
        if kept is not None:
            for index, vector in zip(read.tolist(), vectors.numpy(), strict=True):
                kept.put(int(rows[index]), vector.view(np.uint8))
        done += len(read)
        _require_time(done, len(missing), perf_counter() - began, seconds)
        if (now := perf_counter()) - spoken > SPOKEN_SECONDS:
            spoken, speed = now, done / (now - began)
            logger.info("  %s of %s images, %.0f img/s", f"{done:,}", f"{len(missing):,}", speed)
    if not known[wanted].any():
        raise DataError(
            f"{dataset.info.name}: none of {len(wanted):,} images can be read; {dataset.info.unreadable[-1]}"
        )
    if not found.isfinite().all():
        raise ModelError("the embeddings are NaN or infinite; the weights may be of another network")
    return Embeddings(found, known)


def _require_time(done: int, count: int, spent: float, limit: float | None) -> None:
    """Refuse to go on if all embeddings take longer than the limit, as soon as the pace is known."""
    if limit is None or done < PACED or done == count or spent / done * count <= limit:
        return
    minutes = spent / done * count / 60
    raise RecipeError(
        f"the embeddings of {count:,} images take about {minutes:.1f} minutes, which is more than minutes="
        f"{limit / 60:g}; allow more time, or train on fewer images (--set split.per_class=100)"
    )


def embedding_identity(
    model: Network,
    name: str,
    options: Mapping[str, Any],
    sha256: str | None,
    shape: ImageShape,
    preprocess: Preprocess,
    device: str,
) -> dict[str, Any]:
    """Whatever changes the embeddings of images besides the images.

    Args:
        model: The network, which normalizes images, perhaps by statistics of the training samples.
        name: Its name.
        options: Its options.
        sha256: The checksum of its weights.
        shape: The shape of its images.
        preprocess: The preparation of images.
        device: The device on which embeddings are computed.
    """
    fields = preprocess.model_dump(include=set(EMBEDDED))
    statistics = torch.cat([model.normalize.mean, model.normalize.std]).cpu().numpy()
    return {
        "weights": sha256,
        "model": {"name": name, **options},
        "image_shape": list(shape),
        "preprocess": fields,
        "normalize": hashlib.sha256(statistics.tobytes()).hexdigest(),
        "device": device,
    }


def _batches(dataset: Dataset, indices: Tensor) -> Iterator[Batch]:
    for part in indices.split(BATCH):
        batch = dataset.read(part)
        if len(batch):
            yield batch


@torch.no_grad()
def _embed(encoder: Encoder, images: Tensor) -> Tensor:
    """N×C×H×W → N×D on the CPU, in batches of one size."""
    device = next(encoder.parameters()).device
    count = len(images)
    full = (
        torch.cat([images, images[-1:].expand(BATCH - count, *images.shape[1:])]) if count < BATCH else images
    )
    full = full.to(device, memory_format=torch.channels_last)
    vectors: Tensor = encoder.eval()(full)
    return vectors[:count].float().cpu()


def _fused(model: Network, example: Tensor) -> Network:
    device = next(model.parameters()).device
    found = fused(model, example.to(device))
    assert isinstance(found, Network)
    return found


def _open_cache(dataset: Dataset, width: int, identity: Mapping[str, Any]) -> DecodedCache | None:
    """The cache of the embeddings of a manifest; None for data in memory, or without space for one."""
    if not isinstance(dataset, ImageDataset):
        return None
    manifest = dataset.files.manifest
    root = manifest.store.root if manifest.store.remote else manifest.store.root.resolve()
    settings: dict[str, object] = {"root": str(root), **identity}
    shape = (len(manifest), 1, 1, 4 * width)
    try:
        folder = cache_folder("embeddings")
        return open_cache(folder, manifest.name, settings, manifest.fingerprints(), shape, logger.info)
    except NoSpaceError as error:
        logger.info("%s; embeddings are not kept", error)
        return None
