"""Data: images, files, audits, datasets, splits and batches."""

from convnet.data.batches.augment.augment import Augment, augment_batch
from convnet.data.batches.loader import BatchTransform, Loader
from convnet.data.datasets.dataset import (
    Dataset,
    DatasetInfo,
    Modality,
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
