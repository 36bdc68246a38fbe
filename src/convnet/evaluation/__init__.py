"""What an evaluation says beyond its metrics: robustness, slices, unknown data, differences between runs."""

from convnet.evaluation.details import NO_DETAILS, EvaluationDetails
from convnet.evaluation.embedding_map import EmbeddingMap, embedding_map
from convnet.evaluation.paired import Change, PairedComparison, compare_paired
from convnet.evaluation.robustness import CorruptedAccuracy, measure_robustness
from convnet.evaluation.slices import Slice, measure_slices
from convnet.evaluation.unknown_data import UnknownData, measure_unknown

__all__ = [
    "NO_DETAILS",
    "Change",
    "CorruptedAccuracy",
    "EmbeddingMap",
    "EvaluationDetails",
    "PairedComparison",
    "Slice",
    "UnknownData",
    "compare_paired",
    "embedding_map",
    "measure_robustness",
    "measure_slices",
    "measure_unknown",
]
