"""The layers of networks. All images are N×C×H×W, channels first."""

from convnet.layers.activations import ACTIVATIONS, Maxout, make_activation, widening
from convnet.layers.arithmetic import output_shape, output_size, require_size
from convnet.layers.blocks import ChannelMaxPool, ConvBlock, PaddedShortcut, Residual, dense_head
from convnet.layers.classifier import Classifier, classifier_of, layers_of
from convnet.layers.convolution import Conv1d, Conv2d, UpConv2d, guard_narrow_convolutions
from convnet.layers.dense import FlattenLinear
from convnet.layers.dropout import Dropout
from convnet.layers.fitted import Fitted, Passes, Standardize
from convnet.layers.fuse import fused
from convnet.layers.init import INITIALIZERS, initialize
from convnet.layers.local import LocallyConnected2d
from convnet.layers.neighbors import Metric, nearest
from convnet.layers.network import Network
from convnet.layers.norm import LocalResponseNorm, Normalize
from convnet.layers.similarity import structural_similarity
from convnet.layers.tiling import Sizes, sizes_of, tiled_outputs
from convnet.layers.toeplitz import toeplitz_matrix

__all__ = [
    "ACTIVATIONS",
    "INITIALIZERS",
    "ChannelMaxPool",
    "Classifier",
    "Conv1d",
    "Conv2d",
    "ConvBlock",
    "Dropout",
    "Fitted",
    "FlattenLinear",
    "LocalResponseNorm",
    "LocallyConnected2d",
    "Maxout",
    "Metric",
    "Network",
    "Normalize",
    "PaddedShortcut",
    "Passes",
    "Residual",
    "Sizes",
    "Standardize",
    "UpConv2d",
    "classifier_of",
    "dense_head",
    "fused",
    "guard_narrow_convolutions",
    "initialize",
    "layers_of",
    "make_activation",
    "nearest",
    "output_shape",
    "output_size",
    "require_size",
    "sizes_of",
    "structural_similarity",
    "tiled_outputs",
    "toeplitz_matrix",
    "widening",
]
