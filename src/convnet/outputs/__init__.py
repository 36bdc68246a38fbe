"""The meaning of a network's outputs: classes, labels, masks, images.

NumPy only, so that a server imports no torch.
"""

from convnet.outputs.calibration import UNCALIBRATED, Calibration, UnknownRule
from convnet.outputs.class_prediction import ClassOutputs, ClassPrediction, LabelOutputs, LabelsPrediction
from convnet.outputs.image_prediction import ImageOutputs
from convnet.outputs.kind import Labels, OutputKind, Picture, Prediction, as_picture, to_png
from convnet.outputs.mask_prediction import MaskOutputs

__all__ = [
    "UNCALIBRATED",
    "Calibration",
    "ClassOutputs",
    "ClassPrediction",
    "ImageOutputs",
    "LabelOutputs",
    "Labels",
    "LabelsPrediction",
    "MaskOutputs",
    "OutputKind",
    "Picture",
    "Prediction",
    "UnknownRule",
    "as_picture",
    "to_png",
]
