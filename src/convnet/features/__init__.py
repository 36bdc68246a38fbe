"""What is computed from images without gradients: fixed filters, point operations, classical features."""

from convnet.features import color_histogram, hog, transforms, visual_words
from convnet.features.concatenate import Features
from convnet.features.filters import FILTERS, FixedFilter
from convnet.features.point_operations import POINT_OPERATIONS
from convnet.features.registry import FEATURES

__all__ = [
    "FEATURES",
    "FILTERS",
    "POINT_OPERATIONS",
    "Features",
    "FixedFilter",
    "color_histogram",
    "hog",
    "transforms",
    "visual_words",
]
