"""Write a split as a table of images that can be trained on."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

import torch

from convnet.data.datasets.dataset import Dataset, class_names, location
from convnet.data.datasets.image_dataset import ImageDataset
from convnet.data.files.manifest import UNUSED
from convnet.data.splits.groups import group_ids
from convnet.data.splits.split import NAMES, SplitOptions, make_split
from convnet.errors import DataError
from convnet.targets import IMAGE, MASK


def split_table(
    dataset: Dataset, options: SplitOptions, folds: int | None, base: Path
) -> tuple[str, tuple[str, ...]]:
    """CSV text with one row per sample: path, label (of images with classes), split or fold, group.

    Samples that stay together have the same group. Excluded samples have the split "unused".

    Args:
        dataset: The images.
        options: How to split.
        folds: The number of folds, or None for a split.
        base: The folder of the table, to which paths of images in a folder are relative.

    Returns:
        The text, and lines about the split.

    Raises:
        RecipeError: As for `make_split`.
        DataError: The data holds no images, or as for `make_split`.
    """
    if dataset.info.modality != "images":
        raise DataError(
            f"{dataset.info.name}: holds no images; a run on other data stores its split in split.csv"
        )
    root = dataset.files.manifest.store.root if isinstance(dataset, ImageDataset) else None
    ids = group_ids(dataset, options.near_copies)
    counts = torch.bincount(ids)
    column = "fold" if folds else "split"
    words, remarks = _folds(dataset, options, folds) if folds else _splits(dataset, options)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    labels = [] if dataset.info.target in (MASK, IMAGE) else [class_names(dataset)]
    writer.writerow(["path", *("label" for _ in labels), column, "group"])
    for i in range(len(dataset)):
        place = location(dataset, i)
        if root is not None and root.is_dir():
            place = Path(os.path.relpath(root / place, base)).as_posix()
        group = int(ids[i])
        own = [names[i] for names in labels]
        writer.writerow([place, *own, words[i], f"g{group}" if counts[group] > 1 else ""])
    return text.getvalue(), remarks


def _splits(dataset: Dataset, options: SplitOptions) -> tuple[list[str], tuple[str, ...]]:
    split = make_split(dataset, options)
    words: list[str] = [UNUSED] * len(dataset)
    for name in NAMES:
        for i in split[name].tolist():
            words[i] = name
    return words, split.remarks


def _folds(dataset: Dataset, options: SplitOptions, folds: int) -> tuple[list[str], tuple[str, ...]]:
    words: list[str] = [UNUSED] * len(dataset)
    remarks: tuple[str, ...] = ()
    for fold in range(folds):
        split = make_split(dataset, options.model_copy(update={"folds": folds, "fold": fold}))
        for i in split.test.tolist():
            words[i] = str(fold)
        remarks = remarks or split.remarks
    return words, remarks
