"""From files to batches: sources, splits, preprocessing, augmentation, the loader."""

from convnet.data.batches.augment.augment import JITTERS, Augment, augment_batch
from convnet.data.batches.loader import Loader, BatchTransform
from convnet.data.datasets.dataset import Dataset, Modality, all_images, select_classes
from convnet.data.datasets.image_dataset import ImageDataset
from convnet.data.datasets.mask_folder import Colors
from convnet.data.datasets.named.catalog import DATASETS, named_set
from convnet.data.datasets.npz import holds_images
from convnet.data.datasets.open import (
    Reads,
    as_path,
    holds_series,
    is_table,
    is_there,
    natural_reading,
    open_data,
    whole_name,
)
from convnet.data.datasets.open_images import holds_files
from convnet.data.datasets.tensor_dataset import TensorDataset, with_images
from convnet.data.datasets.time_series import open_series
from convnet.data.files.image_reader import read_image_file
from convnet.data.files.shards import is_address, is_shards, shards_name
from convnet.data.images.decode import read_picture
from convnet.data.images.formats import IMAGE_SUFFIXES
from convnet.data.images.preprocess import MEMORY_LIMIT_BYTES, Preprocess, pixel_statistics
from convnet.data.splits.split import Split, SplitOptions, make_split, read_split, write_split

__all__ = [
    "DATASETS",
    "IMAGE_SUFFIXES",
    "JITTERS",
    "MEMORY_LIMIT_BYTES",
    "Augment",
    "Colors",
    "Dataset",
    "ImageDataset",
    "Loader",
    "Modality",
    "BatchTransform",
    "Preprocess",
    "Reads",
    "Split",
    "SplitOptions",
    "TensorDataset",
    "all_images",
    "as_path",
    "augment_batch",
    "holds_files",
    "holds_images",
    "holds_series",
    "is_address",
    "is_shards",
    "is_table",
    "is_there",
    "make_split",
    "named_set",
    "natural_reading",
    "open_data",
    "open_series",
    "pixel_statistics",
    "read_image_file",
    "read_picture",
    "read_split",
    "select_classes",
    "shards_name",
    "whole_name",
    "with_images",
    "write_split",
]
