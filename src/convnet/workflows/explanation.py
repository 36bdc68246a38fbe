"""`Explanation`: what a network does with one image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor

from convnet.analysis import summary
from convnet.errors import ModelError
from convnet.explain.arithmetic import Unit, unit
from convnet.explain.attribution import Attribution
from convnet.explain.capture import Capture, Operation
from convnet.explain.faithfulness import Faithfulness
from convnet.outputs import Prediction
from convnet.prediction import NetworkPredictor
from convnet.workflows.explained_network import inner_network


@dataclass(frozen=True)
class Neighbor:
    """A training sample near to the image in embedding space; `pixels` are C×H×W."""

    index: int
    path: str
    label: str
    distance: float
    pixels: Tensor = field(repr=False)


@dataclass(frozen=True)
class Explanation:
    """What a network does with one image.

    Attributes:
        predictor: The network with its preprocessing and classes.
        path: The image.
        image: As the network takes it, 1×C×H×W, before normalization.
        capture: Every operation of the network, with gradients of the class score if there are classes.
        target: The class that is explained; None for networks without classes.
        layer: The layer whose maps are shown.
        unit_layer: The layer whose unit is shown: the same, or the convolution before it.
        chosen_unit: The unit whose arithmetic is shown; None for the one with the largest value.
        attributions: Attribution maps with their trust scores.
        neighbors: The nearest training samples.
        visualized: What was asked for, and an image that excites it, 1×C×H×W in pixel values.
    """

    predictor: NetworkPredictor
    path: str
    image: Tensor = field(repr=False)
    capture: Capture = field(repr=False)
    target: int | None
    layer: Operation
    unit_layer: Operation
    chosen_unit: tuple[int, ...] | None = None
    attributions: Sequence[tuple[Attribution, Faithfulness]] = ()
    neighbors: Sequence[Neighbor] = ()
    visualized: tuple[str, Tensor] | None = field(default=None, repr=False)

    @cached_property
    def prediction(self) -> Prediction:
        """The network's prediction for the image."""
        kind, labels = self.predictor.kind, self.predictor.labels
        output, image = self.capture.output[0].detach().float(), self.image[0]
        return kind.prediction(self.path, output.numpy(), image.numpy(), labels)

    @property
    def target_class(self) -> str | None:
        """The name of the class that is explained."""
        return None if self.target is None else self.predictor.labels.classes[self.target]

    @cached_property
    def unit(self) -> Unit:
        """The arithmetic of the chosen unit."""
        place = self.chosen_unit
        if place is None:
            values = self.unit_layer.output[0]
            flat = int(values.flatten().argmax())
            place = tuple(int(i) for i in np.unravel_index(flat, values.shape))
        return unit(self.capture, self.unit_layer.name, place)

    @cached_property
    def receptive_field(self) -> dict[str, list[int]] | None:
        """The first and last row and column of the image that the unit depends on; None if unknown.

        They may lie outside the image, in the padding.
        """
        place = self.unit.position
        if self.predictor.inputs.modality == "table":
            return None
        if len(place) != 3 or self.image.dim() != 4:
            return _whole_image(self.image) if len(place) == 1 else None
        return _field(self.predictor, self.capture.input, self.unit_layer, place)

    def as_dict(self) -> dict[str, Any]:
        """The explanation as plain values, for JSON."""
        made = self.unit.to_dict()
        return {
            "image": self.path,
            "network": self.predictor.name,
            **({"prediction": self.prediction.as_dict()} if self.predictor.task.target.exclusive else {}),
            "target": self.target_class,
            **made,
            "receptive_field": self.receptive_field,
            "attributions": [
                {"method": found.method, "layer": found.layer, **trust.as_dict()}
                for found, trust in self.attributions
            ],
            "neighbors": [
                {"path": near.path, "class": near.label, "distance": near.distance} for near in self.neighbors
            ],
        }

    def write(self, folder: str | Path, *, scale: Literal["map", "layer", "shared"] = "map") -> Path:
        """Write explain.html and explain.json.

        Args:
            folder: The folder; created if it does not exist.
            scale: The color scale of activations: "map" (one per map), "layer" or "shared".

        Returns:
            The path of the page.

        Raises:
            RunError: The folder is not writable.
        """
        from convnet.reports.explain_page import ExplanationPage  # it imports matplotlib

        page = ExplanationPage(
            self.as_dict(),
            self.predictor.name,
            self.path,
            self.image,
            self.prediction if self.predictor.task.target.exclusive else None,
            self.target_class,
            self.capture,
            self.layer,
            self.unit,
            self.receptive_field,
            self.attributions,
            [(near.pixels, near.label, f"{near.distance:.3g}", near.path) for near in self.neighbors],
            self.visualized,
            scale,
        )
        return page.write(Path(folder))


def _whole_image(image: Tensor) -> dict[str, list[int]]:
    return {"rows": [0, image.shape[2] - 1], "columns": [0, image.shape[3] - 1]}


def _field(
    predictor: NetworkPredictor, image: Tensor, op: Operation, place: Sequence[int]
) -> dict[str, list[int]] | None:
    """The receptive field of a position by the layer table."""
    channels = image.shape[1:]
    try:
        rows = {row.name: row for row in summary(inner_network(predictor.model), tuple(channels)).layers}
    except ModelError:
        return None
    row = rows.get(op.name) or rows.get(op.module)
    if row is None or not row.receptive_field or not row.jump or not row.offset:
        return None
    found = []
    for side in (0, 1):
        center = row.offset[side] + place[side + 1] * row.jump[side]
        low = round(center - (row.receptive_field[side] - 1) / 2)
        found.append([low, low + row.receptive_field[side] - 1])
    return {"rows": found[0], "columns": found[1]}
