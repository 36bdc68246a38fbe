"""A small network that is trained on points in the plane while they are moved."""

from __future__ import annotations

import time
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from convnet.layers import Classifier
from convnet.models import build_model
from convnet.studio.tensors import Picture, pack_pictures
from convnet.training import LOSSES, OPTIMIZERS, Regularizers, Training, parameter_groups, train_step
from convnet.types import Batch, ImageShape

RESOLUTION = 72
"""Rows and columns of the picture of decision regions."""
LINES, POINTS_PER_LINE = 13, 49
"""Grid lines in each direction, and the points of each, whose images in hidden layers are drawn."""
LIMIT = 1.2
"""The picture shows −LIMIT…LIMIT in both directions."""
FRAME_SECONDS = 0.03
MOST_CLASSES = 6
Number = Annotated[float, Field(allow_inf_nan=False)]


class PlaneOrder(BaseModel):
    """The points and the network.

    Attributes:
        points: x, y and class of each point.
        hidden: The units of each hidden layer.
        activation: The activation.
        optimizer: The optimizer.
        lr: The learning rate.
        l2: The strength of the L2 penalty.
        seed: The seed of the weights.
        paused: Whether training is paused.
    """

    model_config = ConfigDict(extra="forbid")

    points: list[tuple[Number, Number, Annotated[int, Field(ge=0, lt=MOST_CLASSES)]]] = Field(max_length=2000)
    hidden: list[Annotated[int, Field(ge=1, le=64)]] = Field(max_length=4)
    activation: Literal["relu", "tanh", "sigmoid", "leaky-relu", "elu"] = "tanh"
    optimizer: Literal["sgd", "momentum", "adam", "adadelta", "rmsprop"] = "adam"
    lr: Annotated[float, Field(gt=0, le=10)] = 0.01
    l2: Annotated[float, Field(ge=0, le=10)] = 0.001
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    paused: bool = False


class PlaneSession:
    """A network and the points it is trained on.

    Args:
        order: The points and the network.
    """

    def __init__(self, order: PlaneOrder) -> None:
        self.order = order
        self.steps = 0
        self.loss = 0.0
        self._build()

    def _build(self) -> None:
        order = self.order
        classes = max(2, 1 + max((c for *_, c in order.points), default=0))
        self.classes, self.steps = classes, 0
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(order.seed)
            self.model = build_model(
                "mlp", ImageShape(2, 1, 1), classes, hidden=order.hidden, activation=order.activation
            )
        self._train_with(order)

    def _train_with(self, order: PlaneOrder) -> None:
        groups = parameter_groups(self.model, decay_all=True)
        self.training = Training(
            self.model,
            LOSSES.build("cross-entropy"),
            OPTIMIZERS.build(order.optimizer, groups, lr=order.lr),
            regularizers=Regularizers(l2=order.l2),
            clip_norm=10.0,
        )

    def take(self, order: PlaneOrder) -> None:
        """Continue with other points or settings; another network begins with new weights."""
        before, self.order = self.order, order
        classes = max(2, 1 + max((c for *_, c in order.points), default=0))
        if (before.hidden, before.activation, before.seed) != (
            order.hidden,
            order.activation,
            order.seed,
        ) or classes != self.classes:
            self._build()
        elif (before.optimizer, before.lr, before.l2) != (order.optimizer, order.lr, order.l2):
            self._train_with(order)

    def advance(self) -> bytes:
        """Train for a moment, and return the picture as a binary message."""
        points = torch.tensor([[x, y] for x, y, _ in self.order.points]).view(-1, 2, 1, 1)
        targets = torch.tensor([c for *_, c in self.order.points], dtype=torch.int64)
        if len(points) and not self.order.paused:
            batch = Batch(points, targets, torch.arange(len(points)))
            self.model.train()
            until = time.perf_counter() + FRAME_SECONDS
            while time.perf_counter() < until:
                self.loss = train_step(self.training, batch).loss.item()
                self.steps += 1
        return self._picture(points, targets)

    @torch.no_grad()
    def _picture(self, points: Tensor, targets: Tensor) -> bytes:
        self.model.eval()
        side = torch.linspace(-LIMIT, LIMIT, RESOLUTION)
        grid = torch.cartesian_prod(side.flip(0), side).flip(1)  # rows from top to bottom
        probabilities = self._probabilities(grid).T.reshape(-1, RESOLUTION, RESOLUTION)
        right = int((self._probabilities(points).argmax(1) == targets).sum()) if len(points) else 0
        facts = {
            "type": "plane",
            "step": self.steps,
            "loss": self.loss if self.loss == self.loss and abs(self.loss) < 1e30 else None,
            "right": right,
            "points": len(points),
            "classes": self.classes,
            "hidden": list(self.order.hidden),
        }
        pictures = [Picture("probabilities", "plane", probabilities)]
        lines = _grid_lines()
        for number, stages in enumerate(_hidden(self.model)):
            pictures.append(Picture(f"grid {number}", "plane", stages(lines).flatten(1)))
            if len(points):
                pictures.append(Picture(f"points {number}", "plane", stages(points).flatten(1)))
        return pack_pictures(facts, pictures, whole=True)

    def _probabilities(self, points: Tensor) -> Tensor:
        scores: Tensor = self.model(points.view(-1, 2, 1, 1))
        return scores.nan_to_num().softmax(1)


def _grid_lines() -> Tensor:
    """The points of grid lines: first the vertical ones, then the horizontal ones."""
    across = torch.linspace(-LIMIT, LIMIT, LINES)
    along = torch.linspace(-LIMIT, LIMIT, POINTS_PER_LINE)
    vertical = torch.cartesian_prod(across, along)
    return torch.cat([vertical, vertical.flip(1)]).view(-1, 2, 1, 1)


def _hidden(model: nn.Module) -> list[nn.Sequential]:
    """The part of the network up to each hidden layer, with its activation."""
    if not isinstance(model, Classifier):
        return []
    features = model.sequence()[0]
    layers = list(features.children())
    ends = [i for i, layer in enumerate(layers) if type(layer).__name__ == "Dropout"]
    return [nn.Sequential(*layers[: end + 1]) for end in ends]
