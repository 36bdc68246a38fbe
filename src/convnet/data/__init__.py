"""Data: images, files, audits, datasets, splits and batches.

The names are imported when they are first used, so that decoding an image does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from convnet.lazy import lazy_names

if TYPE_CHECKING:
    from convnet.data.batches.augment.augment import Augment, augment_batch
    from convnet.data.batches.loader import BatchTransform, Loader
    from convnet.data.datasets.dataset import (
        Dataset,
        DatasetInfo,
        all_images,
        class_names,
        labels_of,
        location,
        read_sample,
        subset,
        to_device,
        with_targets,
    )
    from convnet.data.datasets.identify import DataSpec, as_path, exists, identify, identify_source
    from convnet.data.datasets.image_dataset import ImageDataset
    from convnet.data.datasets.named.catalog import DATASETS, named_set
    from convnet.data.datasets.open import audit_data, list_data, open_data, open_spec
    from convnet.data.datasets.options import Data
    from convnet.data.datasets.photos import look_at_spec, open_searchable
    from convnet.data.datasets.statistics import pixel_statistics
    from convnet.data.datasets.tensor_dataset import TensorDataset, from_tensors, with_images
    from convnet.data.images.preprocess import MEMORY_LIMIT_BYTES, Preprocess
    from convnet.data.splits.split import Split, SplitOptions, make_split
    from convnet.data.splits.split_file import read_split, write_split
    from convnet.types import Modality

__all__ = [
    "DATASETS",
    "MEMORY_LIMIT_BYTES",
    "Augment",
    "BatchTransform",
    "Data",
    "DataSpec",
    "Dataset",
    "DatasetInfo",
    "ImageDataset",
    "Loader",
    "Modality",
    "Preprocess",
    "Split",
    "SplitOptions",
    "TensorDataset",
    "all_images",
    "as_path",
    "audit_data",
    "augment_batch",
    "class_names",
    "exists",
    "from_tensors",
    "identify",
    "identify_source",
    "labels_of",
    "list_data",
    "location",
    "look_at_spec",
    "make_split",
    "named_set",
    "open_data",
    "open_searchable",
    "open_spec",
    "pixel_statistics",
    "read_sample",
    "read_split",
    "subset",
    "to_device",
    "with_images",
    "with_targets",
    "write_split",
]

_HOMES = {
    "Augment": "convnet.data.batches.augment.augment",
    "BatchTransform": "convnet.data.batches.loader",
    "DATASETS": "convnet.data.datasets.named.catalog",
    "Data": "convnet.data.datasets.options",
    "DataSpec": "convnet.data.datasets.identify",
    "Dataset": "convnet.data.datasets.dataset",
    "DatasetInfo": "convnet.data.datasets.dataset",
    "ImageDataset": "convnet.data.datasets.image_dataset",
    "Loader": "convnet.data.batches.loader",
    "MEMORY_LIMIT_BYTES": "convnet.data.images.preprocess",
    "Modality": "convnet.types",
    "Preprocess": "convnet.data.images.preprocess",
    "Split": "convnet.data.splits.split",
    "SplitOptions": "convnet.data.splits.split",
    "TensorDataset": "convnet.data.datasets.tensor_dataset",
    "all_images": "convnet.data.datasets.dataset",
    "as_path": "convnet.data.datasets.identify",
    "audit_data": "convnet.data.datasets.open",
    "augment_batch": "convnet.data.batches.augment.augment",
    "class_names": "convnet.data.datasets.dataset",
    "exists": "convnet.data.datasets.identify",
    "from_tensors": "convnet.data.datasets.tensor_dataset",
    "identify": "convnet.data.datasets.identify",
    "identify_source": "convnet.data.datasets.identify",
    "labels_of": "convnet.data.datasets.dataset",
    "list_data": "convnet.data.datasets.open",
    "location": "convnet.data.datasets.dataset",
    "look_at_spec": "convnet.data.datasets.photos",
    "make_split": "convnet.data.splits.split",
    "named_set": "convnet.data.datasets.named.catalog",
    "open_data": "convnet.data.datasets.open",
    "open_searchable": "convnet.data.datasets.photos",
    "open_spec": "convnet.data.datasets.open",
    "pixel_statistics": "convnet.data.datasets.statistics",
    "read_sample": "convnet.data.datasets.dataset",
    "read_split": "convnet.data.splits.split_file",
    "subset": "convnet.data.datasets.dataset",
    "to_device": "convnet.data.datasets.dataset",
    "with_images": "convnet.data.datasets.tensor_dataset",
    "with_targets": "convnet.data.datasets.dataset",
    "write_split": "convnet.data.splits.split_file",
}

__getattr__ = lazy_names(__name__, _HOMES)
