"""The pieces networks are made of. All images are N×C×H×W, channels first."""

from convnet.layers.activations import ACTIVATIONS, Maxout, make_activation, widening
from convnet.layers.blocks import ConvBlock, Residual
from convnet.layers.convolution import SameConv2d, output_size, require_size
from convnet.layers.dense import MapsToDense
from convnet.layers.dropout import Dropout
from convnet.layers.init import INITIALIZERS, initialize
from convnet.layers.normalize import Normalize

__all__ = [
    "ACTIVATIONS",
    "INITIALIZERS",
    "ConvBlock",
    "Dropout",
    "MapsToDense",
    "Maxout",
    "Normalize",
    "Residual",
    "SameConv2d",
    "initialize",
    "make_activation",
    "output_size",
    "require_size",
    "widening",
]
