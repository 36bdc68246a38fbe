"""The meaning of a network's outputs: classes, labels, masks, images.

NumPy only, so that a server imports no torch.
"""

from collections.abc import Mapping
from types import MappingProxyType

from convnet.outputs.calibration import UNCALIBRATED, Calibration, UnknownRule
from convnet.outputs.class_prediction import ClassOutputs, ClassPrediction, LabelOutputs, LabelsPrediction
from convnet.outputs.image_prediction import ImageOutputs
from convnet.outputs.kind import Labels, OutputKind, Picture, Prediction, as_picture, to_png
from convnet.outputs.mask_prediction import MaskOutputs

IMAGE_TASKS = (
    "denoise",
    "deblur",
    "inpaint",
    "colorize",
    "super-resolution",
    "reconstruct",
    "image-to-image",
)
KINDS: Mapping[str, OutputKind] = MappingProxyType(
    {
        **{kind.name: kind for kind in (ClassOutputs(), LabelOutputs(), MaskOutputs())},
        **{name: ImageOutputs(name) for name in IMAGE_TASKS},
    }
)
"""The kinds of outputs by the name of the task."""

__all__ = [
    "IMAGE_TASKS",
    "KINDS",
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
