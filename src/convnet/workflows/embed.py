"""Embeddings of a data set as a table: one row per sample, one column per dimension."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convnet.atomic import write_atomically
from convnet.data import Dataset, Loader, class_names, location
from convnet.errors import DataError
from convnet.explain import embed
from convnet.recipes.load import require_embedding
from convnet.types import evaluation_batch
from convnet.workflows.run import Run
from convnet.workflows.run_data import open_other_data, open_own_data

SUFFIXES = (".parquet", ".csv", ".npz")


def embed_data(run: Run, data: str | None, out: Path) -> NDArray[np.float32]:
    """Compute embeddings with the run's network and write them to a file.

    Parquet and CSV files have the columns sample, class (if there are classes), 0, 1, …. NumPy files have
    the arrays `samples`, `classes` and `features`. Images that cannot be read are left out.

    Args:
        run: The run.
        data: The data to embed. Default: the run's own.
        out: A .parquet, .csv or .npz file.

    Returns:
        The embeddings of the N samples that can be read, float32 N×D.

    Raises:
        DataError: The data cannot be read, or `out` has another suffix.
        RunError: The network has no embedding of whole samples.
    """
    if out.suffix.lower() not in SUFFIXES:
        raise DataError(f"{out}: features are written as one of {', '.join(SUFFIXES)}")
    require_embedding(run.folder, run.recipe, run.model)
    dataset = open_own_data(run) if data is None else open_other_data(run, data)
    kept: list[Tensor] = []
    codes: NDArray[np.float32] = embed(run.model, images_of(dataset, kept)).numpy()
    indices = torch.cat(kept).tolist()
    names = {"sample": [location(dataset, i) for i in indices]}
    if len(dataset.info.classes) > 1 and dataset.info.target.exclusive:
        classes = class_names(dataset)
        names["class"] = [classes[i] for i in indices]
    write_atomically(out, _written(out.suffix.lower(), names, codes))
    return codes


def images_of(dataset: Dataset, kept: list[Tensor]) -> Iterator[Tensor]:
    """All images in batches; their indices are appended to `kept`, because some may be unreadable."""
    for batch in Loader(dataset, torch.arange(len(dataset)), evaluation_batch(dataset.info.shape)).epoch():
        kept.append(batch.indices.cpu())
        yield batch.images


def _written(suffix: str, names: dict[str, list[str]], codes: NDArray[np.float32]) -> bytes:
    buffer = io.BytesIO()
    if suffix == ".npz":
        arrays = {"samples": np.array(names["sample"]), "features": codes}
        if "class" in names:
            arrays["classes"] = np.array(names["class"])
        np.savez(buffer, **arrays)  # type: ignore[arg-type]
        return buffer.getvalue()
    columns = {**names, **{str(i): codes[:, i] for i in range(codes.shape[1])}}
    if suffix == ".parquet":
        import pyarrow as pa  # imported here because it takes a tenth of a second
        import pyarrow.parquet as pq

        pq.write_table(pa.table(columns), buffer)
        return buffer.getvalue()
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue().encode()
