"""Correct the labels of image files in a table that `train` accepts; the files are unchanged."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from convnet.atomic import write_atomically
from convnet.data import ImageDataset, location, read_split
from convnet.data.files.manifest import UNUSED, Manifest
from convnet.errors import DataError, RunError
from convnet.types import SplitName
from convnet.workflows.run import Run
from convnet.workflows.run_data import open_own_data

REMOVE = "remove"
"""The label of images that are left out."""
NAMES: tuple[SplitName, ...] = ("train", "val", "test")


class Corrected(NamedTuple):
    """How many labels were changed, and how many images were left out."""

    changed: int
    removed: int


def apply_corrections(run: Run, corrections: Path, out: Path) -> Corrected:
    """Write a table of the run's images with corrected labels, which `train` accepts; the data is unchanged.

    Args:
        run: A classification run on image files.
        corrections: A CSV file with a column `path` and the new label in a column `corrected`, else
            `suggested`, else `label`. The label "remove" leaves the image out.
        out: The table to write: path, label and split of every image, and its group if there are groups.

    Returns:
        The numbers of labels that changed and of images that were left out.

    Raises:
        DataError: The table is damaged, names images or classes that are not known, or the data has no files.
    """
    if not run.task.target.exclusive:
        raise RunError(f"{run.path}: labels are corrected for classifiers; this is a {run.task.name} run")
    dataset = open_own_data(run)
    if not isinstance(dataset, ImageDataset) or not _in_folder(dataset):
        raise DataError(
            f"{dataset.info.name}: has no image files in a folder, so --apply cannot write a table of paths; "
            "change the labels where they come from"
        )
    split = read_split(run.folder.read("split.csv"), dataset, run.folder.file("split.csv"))
    names = {int(i): name for name in NAMES for i in split[name]}
    manifest = dataset.files.manifest
    classes = dataset.info.classes
    samples = [
        LabeledFile(
            location(dataset, i),
            classes[int(dataset.targets[i])],
            names.get(i, UNUSED),
            manifest.samples[int(dataset.rows[i])].group,
        )
        for i in range(len(dataset))
    ]
    return _write_corrected(manifest, samples, classes, corrections, out)


def correct_manifest(manifest: Manifest, corrections: Path, out: Path) -> Corrected:
    """Write a table of image files with corrected labels, which `train` accepts; the files are unchanged.

    Args:
        manifest: Image files in a folder, with one class each.
        corrections: As for `apply_corrections`.
        out: The table to write: path and label of every image, and its split and group where it has them.

    Returns:
        The numbers of labels that changed and of images that were left out.

    Raises:
        DataError: As for `apply_corrections`.
    """
    if manifest.multi_label or not Path(str(manifest.store.root)).is_dir():
        raise DataError(
            f"{manifest.name}: has no image files with one class each in a folder, so no table of paths "
            "can be written; change the labels where they come from"
        )
    samples = [LabeledFile(s.entry.name, s.labels[0], s.split, s.group) for s in manifest.samples]
    return _write_corrected(manifest, samples, manifest.classes, corrections, out)


class LabeledFile(NamedTuple):
    """An image file, its class, its split and its group."""

    path: str
    label: str
    split: str | None
    group: str | None


def _write_corrected(
    manifest: Manifest, samples: Sequence[LabeledFile], classes: Sequence[str], corrections: Path, out: Path
) -> Corrected:
    """Write the table of samples with corrected labels; those without a use are left out."""
    new = _read_corrections(corrections)
    known = {sample.path for sample in samples}
    unknown = [path for path in new if path not in known]
    if unknown:
        raise DataError(
            f"{corrections}: {unknown[0]} is not in {manifest.name} ({len(unknown):,} such paths); use "
            "the paths of suspects.csv"
        )
    strange = {label for label in new.values() if label != REMOVE and label not in classes}
    if strange:
        listed = ", ".join(classes[:20])
        raise DataError(f"{corrections}: unknown class '{min(strange)}'; the classes are {listed}")
    has_splits, has_groups = any(s.split for s in samples), any(s.group is not None for s in samples)
    text, counts = io.StringIO(newline=""), Counter[str]()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(["path", "label", *(["split"] if has_splits else []), *(["group"] if has_groups else [])])
    for sample in samples:
        chosen = new.get(sample.path, sample.label)
        counts["removed" if chosen == REMOVE else "kept" if chosen == sample.label else "changed"] += 1
        if chosen != REMOVE and sample.split != UNUSED:
            more = [sample.split or "train"] if has_splits else []
            more += [sample.group or ""] if has_groups else []
            writer.writerow([str(manifest.store.root / sample.path), chosen, *more])
    write_atomically(out, text.getvalue())
    return Corrected(counts["changed"], counts["removed"])


def _in_folder(dataset: ImageDataset) -> bool:
    """Whether the images are files of a folder, and not members of an archive or remote."""
    return Path(str(dataset.files.manifest.store.root)).is_dir()


def _read_corrections(file: Path) -> dict[str, str]:
    """The new label of each path."""
    try:
        text = file.read_bytes().decode("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    except OSError as error:
        raise DataError(f"{file}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file}: is no CSV file: {error}") from error
    columns = list(rows[0]) if rows else []
    chosen = next((name for name in ("corrected", "suggested", "label") if name in columns), None)
    if "path" not in columns or chosen is None:
        raise DataError(f"{file}: needs the columns path and corrected, suggested or label")
    spare = "suggested" if chosen == "corrected" and "suggested" in columns else chosen
    found = {row["path"]: (row[chosen] or row[spare] or "").strip() for row in rows}
    if empty := [path for path, label in found.items() if not label]:
        raise DataError(f"{file}: {empty[0]} has no label; write its class, or {REMOVE} to leave it out")
    return found
