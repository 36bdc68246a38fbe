"""The page of an explanation: prediction, attribution, maps, filters, the arithmetic of a unit."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from convnet.atomic import write_atomically
from convnet.explain.arithmetic import Unit
from convnet.explain.attribution import Attribution
from convnet.explain.capture import Capture, Operation
from convnet.explain.faithfulness import Faithfulness
from convnet.outputs import ClassPrediction, Prediction
from convnet.reports.attribution_figures import curve_figure, overlay
from convnet.reports.html import render
from convnet.reports.map_sheets import Scale, Sheet, filter_sheet, map_sheet, map_strip
from convnet.reports.style import to_svg
from convnet.reports.thumbnails import Tile, picture_uri, png_uri
from convnet.reports.unit_figure import field_picture, unit_figure
from convnet.tasks import as_picture

TOP = 5
CONVOLUTIONS = ("conv1d", "conv2d", "conv_transpose2d")
OVERVIEW = 12
"""The number of maps of every layer in the overview."""
SHOWN_NUMBERS = 200
"""The largest number of products that are listed."""


@dataclass(frozen=True)
class ExplanationPage:
    """The content of an explanation's folder.

    Attributes:
        figures: The explanation as plain values, for explain.json.
        network: The name of the network.
        path: The image.
        image: As the network takes it, 1×C×H×W.
        prediction: The prediction; None for networks without one class per image.
        target: The class that is explained.
        capture: The operations of the network.
        layer: The layer that is shown.
        unit: The unit whose arithmetic is shown.
        receptive_field: Its receptive field.
        attributions: Attribution maps with their trust scores.
        neighbors: Pixels C×H×W, class, distance and path of the nearest training samples.
        visualized: What was asked for, and an image that excites it, 1×C×H×W.
        scale: The color scale of activations.
    """

    figures: dict[str, Any]
    network: str
    path: str
    image: Tensor
    prediction: Prediction | None
    target: str | None
    capture: Capture
    layer: Operation
    unit: Unit
    receptive_field: dict[str, list[int]] | None
    attributions: Sequence[tuple[Attribution, Faithfulness]] = ()
    neighbors: Sequence[tuple[Tensor, str, str, str]] = ()
    visualized: tuple[str, Tensor] | None = None
    scale: Scale = "map"

    def write(self, folder: Path) -> Path:
        """Write explain.html and explain.json.

        Args:
            folder: The folder; created if it does not exist.

        Returns:
            The path of the page.

        Raises:
            RunError: The folder is not writable.
        """
        folder.mkdir(parents=True, exist_ok=True)
        content = json.dumps(self.figures, indent=2, ensure_ascii=False, allow_nan=False)
        write_atomically(folder / "explain.json", content + "\n")
        page = folder / "explain.html"
        write_atomically(page, self._html())
        return page

    def _html(self) -> str:
        shown = as_picture(self.image[0])
        found = self.prediction if isinstance(self.prediction, ClassPrediction) else None
        most_probable = (
            [] if found is None else list(zip(found.classes[:TOP], found.probabilities[:TOP], strict=True))
        )
        unit_picture = unit_figure(self.unit)
        curves = [(a.method, t.deletion_curve, t.insertion_curve) for a, t in self.attributions]
        drawn_map = self.layer.is_map and max(self.layer.output.shape[2:]) > 1
        return render(
            "explain.html",
            page=self,
            file=Path(self.path).name,
            picture=picture_uri(shown) if max(self.image.shape[2:]) > 1 else None,
            prediction=found,
            most_probable=most_probable,
            overlays=[(a.method, a.layer, png_uri(overlay(shown, a))) for a, _ in self.attributions],
            curves=to_svg(curve_figure(curves)) if curves else None,
            field=png_uri(field_picture(shown, self.receptive_field))
            if self.receptive_field is not None and self.image.shape[2] > 1
            else None,
            unit_picture=None if unit_picture is None else to_svg(unit_picture),
            products=self._products(),
            maps=self._maps() if drawn_map else None,
            gradients=self._gradients() if drawn_map else None,
            filters=list(self._filters()),
            overview=list(self._overview([(op, op.output) for op in self.capture.maps])),
            slopes=list(self._overview([(op, op.gradient) for op in self.capture.maps])),
            most=OVERVIEW,
            neighbors=[Tile(picture_uri(as_picture(p)), *words) for p, *words in self.neighbors],
            excited=None if self.visualized is None else self.visualized[0],
            visualized=None if self.visualized is None else picture_uri(as_picture(self.visualized[1][0])),
        )

    def _products(self) -> list[tuple[str, float, float, float]]:
        """Place, value, weight and product of each number that the unit reads, in the order of the patch."""
        patch, kernel, products = self.unit.patch, self.unit.kernel, self.unit.products
        if patch is None or kernel is None or products is None or patch.numel() > SHOWN_NUMBERS:
            return []
        places = [", ".join(map(str, place)) for place in np.ndindex(*patch.shape)]
        rows = (values.flatten().tolist() for values in (patch, kernel, products))
        return list(zip(places, *rows, strict=True))

    def _maps(self) -> Sheet:
        limit = self._limit([op.output for op in self.capture.maps])
        return map_sheet(self.layer.output[0], self.scale, limit)

    def _limit(self, maps: Sequence[Tensor]) -> float | None:
        """The largest absolute value of several layers, if they share a scale."""
        return max(float(values.abs().max()) for values in maps) if self.scale == "shared" and maps else None

    def _gradients(self) -> Sheet | None:
        if self.layer.gradient is None:
            return None
        limit = self._limit([op.gradient for op in self.capture.maps if op.gradient is not None])
        return map_sheet(self.layer.gradient[0], self.scale, limit)

    def _filters(self) -> Iterator[tuple[str, str, Sheet]]:
        """The name, size and filters of the first convolution and of the layer that is shown."""
        with_weights = [op for op in self.capture.operations if op.kind in CONVOLUTIONS]
        chosen = with_weights[:1] + [op for op in with_weights[1:] if op.name == self.unit.layer]
        for op in chosen:
            weights = op.argument(1, "weight")
            if op.kind == "conv_transpose2d":  # stored by input channel
                weights = weights.transpose(0, 1)
            weights = weights[:, :, None] if weights.dim() == 3 else weights
            yield op.name, "×".join(map(str, weights.shape)), filter_sheet(weights)

    def _overview(self, layers: Sequence[tuple[Operation, Tensor | None]]) -> Iterator[tuple[str, str, str]]:
        """The name, kind and size of every layer with maps, and its first maps as a data URI."""
        maps = [(op, values) for op, values in layers if values is not None and max(values.shape[2:]) > 1]
        limit = self._limit([values for _, values in maps])
        for op, values in maps:
            strip = map_strip(values[0][:OVERVIEW], self.scale, limit)
            size = "×".join(map(str, op.output.shape[1:]))
            yield op.name, f"{op.kind}, {size}", strip
