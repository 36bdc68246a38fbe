"""Classical image processing: fixed filters, point operations, HoG, color histograms, visual words."""

from convnet.features import color_histogram, hog, transforms, visual_words
from convnet.features.filters import FILTERS, FixedFilter
from convnet.features.registry import FEATURES, Features
from convnet.features.transforms import POINT_OPERATIONS

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
