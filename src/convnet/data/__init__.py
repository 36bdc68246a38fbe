"""From files to batches: sources, splits, preprocessing, augmentation, the loader."""

from convnet.data.augment import Augment, augment_batch
from convnet.data.catalog import DATASETS, named_set
from convnet.data.decode import IMAGE_SUFFIXES, quiet_decoding, read_image, read_picture
from convnet.data.loader import Loader, Pair
from convnet.data.masks import Colors
from convnet.data.open import Reads, as_path, holds_series, is_table, natural_reading, open_data
from convnet.data.preprocess import MEMORY_LIMIT_BYTES, Preprocess, pixel_statistics
from convnet.data.series import open_series
from convnet.data.source import Form, MemorySource, Source, keep_classes
from convnet.data.split import Split, SplitOptions, make_split, read_split, write_split

__all__ = [
    "DATASETS",
    "IMAGE_SUFFIXES",
    "MEMORY_LIMIT_BYTES",
    "Augment",
    "Colors",
    "Form",
    "Loader",
    "MemorySource",
    "Pair",
    "Preprocess",
    "Reads",
    "Source",
    "Split",
    "SplitOptions",
    "as_path",
    "augment_batch",
    "holds_series",
    "is_table",
    "keep_classes",
    "make_split",
    "named_set",
    "natural_reading",
    "open_data",
    "open_series",
    "pixel_statistics",
    "quiet_decoding",
    "read_image",
    "read_picture",
    "read_split",
    "write_split",
]
