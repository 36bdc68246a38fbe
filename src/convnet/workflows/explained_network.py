"""The network that is explained: without its normalization, and as scores of classes."""

from __future__ import annotations

from torch import Tensor, nn

from convnet.explain.visualize import Limits
from convnet.layers import Network
from convnet.outputs import UNCALIBRATED, Calibration
from convnet.prediction import NetworkPredictor


def inner_network(model: Network) -> nn.Module:
    """The network without its normalization: normalized images → outputs."""
    if not len(model.features):
        return model.network
    stages = nn.Sequential()
    stages.add_module("features", model.features)
    stages.add_module("network", model.network)
    return stages


class MeanScores(nn.Module):
    """The scores of the classes; of an output per position their mean."""

    def __init__(
        self, network: nn.Module, exclusive: bool = True, calibration: Calibration = UNCALIBRATED
    ) -> None:
        super().__init__()
        self.network, self.exclusive, self.temperature = network, exclusive, calibration.temperature

    def forward(self, images: Tensor) -> Tensor:
        """N×C×H×W → N×K."""
        output: Tensor = self.network(images)
        return output.flatten(2).mean(2) if output.dim() > 2 else output

    def probabilities(self, images: Tensor) -> Tensor:
        """N×C×H×W → N×K: those of the task, calibrated where it has one class per image."""
        scores: Tensor = self(images).double() / self.temperature
        return scores.softmax(1) if self.exclusive else scores.sigmoid()


def limits_of(predictor: NetworkPredictor) -> Limits:
    """The range of normalized pixels."""
    mean, std = predictor.model.normalize.mean, predictor.model.normalize.std
    return Limits((0 - mean) / std, (255 - mean) / std)


def to_pixels(predictor: NetworkPredictor, normal: Tensor) -> Tensor:
    """Normalized images as pixels 0…255."""
    mean, std = predictor.model.normalize.mean, predictor.model.normalize.std
    return (normal * std + mean).clamp(0, 255)
