"""What can be done to an image without learning anything: fixed filters and point operations."""

from convnet.features.filters import FILTERS, FixedFilter
from convnet.features.point_operations import POINT_OPERATIONS

__all__ = ["FILTERS", "POINT_OPERATIONS", "FixedFilter"]
