"""Open identified data as a dataset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from convnet.data.audit.audit import Audit, Embed, audit
from convnet.data.datasets.audit_pairs import audit_masks, audit_pairs
from convnet.data.datasets.csv_table import open_table
from convnet.data.datasets.dataset import Dataset, select_classes
from convnet.data.datasets.identify import KINDS_OF_FILES, DataSpec, identify
from convnet.data.datasets.image_pairs import open_pairs, open_photos
from convnet.data.datasets.mask_folder import MaskCodes, open_masks
from convnet.data.datasets.named.catalog import named_set
from convnet.data.datasets.npz import open_arrays
from convnet.data.datasets.open_images import list_images, open_images, scan_arrays
from convnet.data.datasets.options import Data
from convnet.data.datasets.recordings import open_recordings
from convnet.data.datasets.statistics import FIXED
from convnet.data.datasets.tensor_dataset import TensorDataset, list_arrays, preprocess_images, with_checksums
from convnet.data.datasets.time_series import open_series
from convnet.data.files.annotations import tables_within
from convnet.data.files.manifest import Manifest
from convnet.data.files.recordings import holds_recordings
from convnet.data.files.shards import list_shards
from convnet.data.files.storage import open_storage
from convnet.data.images.preprocess import Preprocess
from convnet.errors import DataError
from convnet.registry import validate
from convnet.types import Annotation, ImageShape, Progress, unseen

LABELED = ("image folder", "archive", "image table", "coco", "shards", "mask folder", "pair folder")
"""Formats of images with classes."""
TABLES = ("table", "image table", "series")
"""Formats with columns."""


def open_data(
    source: str,
    preprocess: Preprocess | None = None,
    *,
    annotation: Annotation | None = None,
    shape: ImageShape | None = None,
    **options: Any,
) -> Dataset:
    """Open a data set by name ("digits", "mnist", …), or images, arrays, a table or series by path.

    Args:
        source: A name, a path or a URL.
        preprocess: The size and channels of images. Default: those of the data.
        annotation: The annotation to read: "class", "labels", "mask", "photos" or "pairs". Default: "mask" or
            "pairs" if the data has them, else "class".
        shape: The input shape of a trained network; for masks and photos only its channels are used.
        **options: Fields of the `data` section of a recipe: label, ignore, series, classes, colors, ….

    Returns:
        The dataset.

    Raises:
        UnknownNameError: There is no such data set.
        DataError: Files are damaged or missing, or the data lacks the annotation.
    """
    chosen = validate(Data, {"source": source, **options}, "data")
    spec = identify(source)
    wanted = annotation or spec.annotation(chosen.label)
    return open_spec(spec, chosen, preprocess or Preprocess(), wanted, shape)


def list_data(source: str, label: str | None = None, *, multi_label: bool = False) -> Manifest:
    """List the images of data with their labels, without decoding them; see `list_spec`."""
    return list_spec(identify(source), label, multi_label=multi_label)


def audit_data(
    options: Data,
    annotation: Annotation | None = None,
    *,
    check_labels: bool = True,
    embed: Embed | None = None,
    progress: Progress = unseen,
) -> Audit:
    """Check the images of data, with their classes, labels, masks or partner images.

    Args:
        options: The data and how it is read.
        annotation: What belongs to an image. Default: what the data offers.
        check_labels: Whether to check the classes.
        embed: Computes embeddings of photos, with which copies and suspicious labels are found.
        progress: Shows the progress of decoding.

    Raises:
        DataError: The data cannot be listed.
    """
    spec = identify(options.source)
    wanted = annotation or spec.annotation(options.label)
    if wanted == "mask" and spec.contents is not None:
        return audit_masks(spec.file, spec.contents, mask_codes(options), progress)
    if wanted == "pairs" and spec.contents is not None:
        return audit_pairs(spec.file, spec.contents, progress)
    manifest = list_spec(spec, options.label, multi_label=wanted == "labels")
    return audit(manifest, check_labels=check_labels, embed=embed, progress=progress)


def mask_codes(options: Data) -> MaskCodes:
    """How the `data` section of a recipe reads masks."""
    return MaskCodes(options.colors, options.ignore_index, options.threshold, options.nearest)


def open_spec(
    spec: DataSpec,
    options: Data,
    preprocess: Preprocess,
    annotation: Annotation = "class",
    shape: ImageShape | None = None,
    mask_values: Mapping[str, int] | None = None,
) -> Dataset:
    """Open identified data according to the `data` section of a recipe; see `open_data`."""
    reading = mask_codes(options)
    if reading != MaskCodes() and annotation != "mask":
        raise DataError(
            f"{options.source}: data.colors, ignore_index, threshold and nearest are for masks (--task "
            "segmentation)"
        )
    if reading.threshold is not None and (reading.colors or reading.nearest):
        raise DataError(f"{options.source}: data.threshold does not go with data.colors or data.nearest")
    if options.series and not spec.named:
        spec = spec.as_series()
    if (options.audio or options.sample_rate) and not holds_recordings(spec.contents):
        raise DataError(f"{options.source}: data.audio and sample_rate apply to recordings (.wav) only")
    has_columns = spec.kind in TABLES or (spec.kind in LABELED and options.label is not None)
    if (options.ignore and spec.kind != "table") or (options.label is not None and not has_columns):
        raise DataError(f"{options.source}: data.label and data.ignore apply to tables only")
    dataset = _open(spec, options, preprocess, annotation, shape, mask_values)
    if isinstance(dataset, TensorDataset) and not spec.named:
        dataset = with_checksums(dataset)
    return dataset if options.classes is None else select_classes(dataset, options.classes)


def _open(
    spec: DataSpec,
    options: Data,
    preprocess: Preprocess,
    annotation: Annotation,
    shape: ImageShape | None,
    mask_values: Mapping[str, int] | None,
) -> Dataset:
    if spec.modality == "series":
        return _open_series(spec, options, preprocess, annotation, shape)
    if spec.modality == "table":
        return _open_table(spec, options, preprocess, annotation, shape)
    if spec.named:
        dataset = named_set(spec.source)
        _require_annotation(dataset, annotation)
        return preprocess_images(
            dataset, preprocess, shape if annotation not in ("mask", "photos", "pairs") else None, shape
        )
    channels = shape.channels if shape else None
    if spec.contents is not None and annotation in ("mask", "photos", "pairs"):
        if annotation == "mask":
            reading = mask_codes(options)
            return open_masks(
                spec.file, spec.contents, preprocess, reading, channels=channels, values=mask_values
            )
        opener = open_pairs if annotation == "pairs" else open_photos
        return opener(spec.file, spec.contents, preprocess, channels)
    if annotation not in ("class", "labels"):
        raise DataError(f"{options.source}: holds images with labels, but the task needs a folder of images")
    if spec.kind == "arrays":
        arrays = open_arrays(spec.file, multi_label=annotation == "labels")
        return preprocess_images(scan_arrays(arrays, spec.source), preprocess, shape, shape)
    manifest = list_spec(spec, options.label, multi_label=annotation == "labels")
    return open_images(manifest, options.source, preprocess, shape)


def list_spec(spec: DataSpec, label: str | None = None, *, multi_label: bool = False) -> Manifest:
    """List the images of identified data with their labels, without decoding them.

    Args:
        spec: The data.
        label: The label column of a table.
        multi_label: Whether an image may have several labels.

    Returns:
        The images, their labels, splits and groups.

    Raises:
        DataError: The data cannot be listed or holds no images with labels.
    """
    if spec.named:
        return list_arrays(named_set(spec.source))
    if spec.kind == "arrays":
        return list_arrays(open_arrays(spec.file, multi_label=multi_label))
    if spec.kind == "shards":
        return list_shards(spec.source, multi_label=multi_label)
    if spec.kind not in LABELED:
        raise DataError(f"{spec.source}: holds no images with labels; {KINDS_OF_FILES}")
    if (label, multi_label) not in spec.listings:
        listed = list_images(spec.file, spec.contents, label, multi_label=multi_label)
        spec.listings[label, multi_label] = listed
    return spec.listings[label, multi_label]


def has_label_columns(spec: DataSpec) -> bool:
    """Whether the classes of the data are in columns of tables, so that `data.label` applies."""
    if spec.kind in ("archive", "image folder"):
        store = open_storage(spec.file)
        return bool(tables_within(store, spec.contents or store.contents()))
    return spec.kind in TABLES


def _require_annotation(dataset: TensorDataset, annotation: Annotation) -> None:
    """Check that a data set has the annotation; its images alone are always available."""
    info = dataset.info
    if annotation != info.target.name and not (annotation == "photos" and info.modality == "images"):
        what, one = {"series": ("series", "series"), "table": ("rows of numbers", "row")}.get(
            info.modality, ("images", "image")
        )
        per = "position" if info.target.dense else one
        wanted = {
            "class": "one class per sample",
            "labels": "any number of labels per sample",
            "mask": "one class per position",
            "pairs": "pairs of images",
            "photos": "images",
        }.get(annotation, f"{annotation} targets")
        raise DataError(
            f"{info.name}: holds {what} with one class per {per}, but the task needs {wanted}; "
            "choose another --task"
        )


def _open_series(
    spec: DataSpec, options: Data, preprocess: Preprocess, annotation: Annotation, shape: ImageShape | None
) -> TensorDataset:
    """Open series, and check that the task and the preprocessing apply to series."""
    if spec.named:
        dataset = named_set(spec.source)
    elif spec.contents is not None and holds_recordings(spec.contents):
        dataset = open_recordings(spec.file, spec.contents, options.audio or "log-mel", options.sample_rate)
    else:
        dataset = open_series(spec.file, options.label, contents=spec.contents)
    _require_annotation(dataset, annotation)
    if preprocess.image_size or preprocess.channels or preprocess.normalize not in ("channel", "none"):
        raise DataError(
            f"{options.source}: holds series of numbers; only preprocess.normalize=channel or none applies"
        )
    channels = dataset.info.shape.channels
    if shape is not None and shape.channels != channels:
        raise DataError(f"{options.source}: has {channels} channels, the run takes {shape.channels}")
    return dataset


def _open_table(
    spec: DataSpec, options: Data, preprocess: Preprocess, annotation: Annotation, shape: ImageShape | None
) -> TensorDataset:
    """Open a table, and check that the task and the preprocessing apply to numbers."""
    dataset = (
        named_set(spec.source)
        if spec.named
        else open_table(spec.file, label=options.label, ignore=options.ignore)
    )
    _require_annotation(dataset, annotation)
    name = dataset.info.name
    if preprocess.image_size or preprocess.channels:
        raise DataError(f"{name}: is a table of numbers; preprocess.image_size and channels do not apply")
    if preprocess.normalize in FIXED and preprocess.normalize != "none":
        raise DataError(
            f"{name}: is a table of numbers; preprocess.normalize={preprocess.normalize} does not apply"
        )
    if shape is not None and shape != dataset.info.shape:
        raise DataError(f"{name}: has {dataset.info.shape.channels} columns, the run takes {shape.channels}")
    return dataset
