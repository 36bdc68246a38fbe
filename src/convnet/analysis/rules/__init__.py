"""How receptive fields pass through torch's operations: one rule per operation, on ATen's level."""

from convnet.analysis.rules import layout, sums, windows
from convnet.analysis.rules.table import has_rule, propagate

__all__ = ["has_rule", "layout", "propagate", "sums", "windows"]
