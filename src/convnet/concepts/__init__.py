"""Worked examples of the ideas behind convolutional networks: numbers in, numbers out.

Every function returns a result that prints as text, that `to_dict()` gives as plain values, and that
`convnet.draw` draws.
"""

from convnet.concepts.arithmetic import Arithmetic, arithmetic
from convnet.concepts.concept import Concept
from convnet.concepts.descent import DEFAULT_OPTIMIZERS, Descent, descent
from convnet.concepts.expression import ComputationGraph, computation_graph
from convnet.concepts.fields import ReceptiveFields, receptive_fields
from convnet.concepts.filtering import Filtering, filtering
from convnet.concepts.first_layers import FirstLayers, first_layers
from convnet.concepts.functions import ActivationCurves, activations
from convnet.concepts.histogram import ColorHistograms, color_histogram
from convnet.concepts.matrix import ToeplitzMatrix, toeplitz
from convnet.concepts.normalization import Normalization, normalization
from convnet.concepts.pooling import Pooling, pooling
from convnet.concepts.regularized import Regularization, TrainedWeights
from convnet.concepts.scores import ScoreLoss, loss
from convnet.concepts.signals import DEFAULT_DESIGNS, Signals, signals

__all__ = [
    "DEFAULT_DESIGNS",
    "DEFAULT_OPTIMIZERS",
    "ActivationCurves",
    "Arithmetic",
    "ColorHistograms",
    "ComputationGraph",
    "Concept",
    "Descent",
    "Filtering",
    "FirstLayers",
    "Normalization",
    "Pooling",
    "ReceptiveFields",
    "Regularization",
    "ScoreLoss",
    "Signals",
    "ToeplitzMatrix",
    "TrainedWeights",
    "activations",
    "arithmetic",
    "color_histogram",
    "computation_graph",
    "descent",
    "filtering",
    "first_layers",
    "loss",
    "normalization",
    "pooling",
    "receptive_fields",
    "signals",
    "toeplitz",
]
