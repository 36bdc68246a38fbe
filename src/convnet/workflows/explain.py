"""Explain what a network does with one image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from convnet.analysis import summary
from convnet.data import Loader, location, read_sample, read_split
from convnet.errors import ModelError, RecipeError, RunError
from convnet.explain import UNCALIBRATED, Calibration, embed
from convnet.explain.arithmetic import Unit, unit
from convnet.explain.attribution import CAMS, NAMES, Attribution, applicable, attribute
from convnet.explain.cam import choose_layer
from convnet.explain.capture import Capture, Operation, capture, with_softmax
from convnet.explain.faithfulness import Faithfulness, measure_faithfulness, with_random_weights
from convnet.explain.visualize import Limits, visualize
from convnet.layers import nearest, sizes_of
from convnet.prediction import Predictor
from convnet.recipes.load import require_embedding
from convnet.registry import nearest as nearest_names
from convnet.tasks import Prediction, evaluation_batch
from convnet.workflows.predictors import load_predictor
from convnet.workflows.run import Run
from convnet.workflows.run_data import open_own_data

QUICK = ("grad-cam", "layer-cam", "saliency")
"""The methods that are computed by default; all of them take a minute for a photo."""


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

    predictor: Predictor
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
        task, labels = self.predictor.task, self.predictor.labels
        return task.prediction(self.path, self.capture.output, self.image, labels)

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
            place = tuple(int(i) for i in torch.unravel_index(torch.tensor(flat), values.shape))
        return unit(self.capture, self.unit_layer.name, place)

    @cached_property
    def receptive_field(self) -> dict[str, list[int]] | None:
        """The first and last row and column of the image that the unit depends on; None if unknown.

        They may lie outside the image, in the padding.
        """
        place = self.unit.position
        if len(place) != 3 or self.image.dim() != 4:
            return _whole_image(self.image) if len(place) == 1 else None
        return _field(self.predictor, self.capture.input, self.unit_layer, place)

    def as_dict(self) -> dict[str, Any]:
        """The explanation as plain values, for JSON."""
        made = self.unit.as_dict()
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
    predictor: Predictor, image: Tensor, op: Operation, place: Sequence[int]
) -> dict[str, list[int]] | None:
    """The receptive field of a position by the layer table."""
    channels = image.shape[1:]
    try:
        rows = {row.name: row for row in summary(inner_network(predictor), tuple(channels)).layers}
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


def inner_network(predictor: Predictor) -> nn.Module:
    """The network without its normalization: normalized images → outputs."""
    model = predictor.model
    if not len(model.features):
        return model.network
    stages = nn.Sequential()
    stages.add_module("features", model.features)
    stages.add_module("network", model.network)
    return stages


class _MeanScores(nn.Module):
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


def explain_image(
    word: str | Path | Run,
    image: str | Path,
    *,
    layer: str | None = None,
    target: str | None = None,
    unit: Sequence[int] | None = None,
    methods: Sequence[str] | None = None,
    neighbors: int = 0,
    visualization: bool | int = False,
) -> Explanation:
    """Explain what a network does with one image; see `convnet.explain` for the arguments."""
    predictor = word.predictor if isinstance(word, Run) else load_predictor(word)
    pixels = _padded(predictor, read_one(predictor, image))
    network = inner_network(predictor)
    normal = predictor.model.normalize(predictor.task.prepare_input(pixels)).detach()
    has_classes = predictor.task.target.has_classes
    try:
        plain = capture(network, normal)
    except RuntimeError as error:
        raise ModelError(f"{predictor.name}: the network cannot be followed: {error}") from error
    chosen = _target(predictor, target, plain.output) if has_classes else None
    if target is not None and chosen is None:
        raise RecipeError(f"--class {target}: {predictor.name} has no classes")
    found = plain if chosen is None else capture(network, normal, chosen)
    if predictor.task.target.exclusive and found.output.dim() == 2:
        found = with_softmax(found)
    shown = found[layer] if layer is not None else _shown_layer(found)
    asked = _methods(predictor, methods, found, chosen is not None)
    attributions = []
    if chosen is not None:
        scores = _MeanScores(network, predictor.task.target.exclusive, predictor.labels.calibration).eval()
        attributions = list(_attributions(scores, found, asked, chosen, layer))
    explanation = Explanation(
        predictor,
        str(image),
        pixels,
        found,
        chosen,
        shown,
        shown if layer is not None else _last_convolution(found, shown),
        None if unit is None else tuple(unit),
        attributions,
        nearest_training(_run_of(word, predictor), pixels, neighbors) if neighbors else (),
        _visualized(predictor, chosen, layer, visualization),
    )
    _ = explanation.unit  # a position outside the map is an error before anything is written
    return explanation


def _attributions(
    scores: _MeanScores, found: Capture, methods: Sequence[str], target: int, layer: str | None
) -> Iterator[tuple[Attribution, Faithfulness]]:
    """Attribution maps with their trust scores."""
    untrained = with_random_weights(scores.network)
    random = _MeanScores(untrained).eval()
    blind = capture(untrained, found.input, target) if set(methods) & set(CAMS) else None
    chosen = layer if layer is not None and found[layer].gradient is not None else None
    shown = chosen if chosen is not None and found[chosen].is_map else None
    for method in methods:
        where = shown if method in CAMS else None
        made = attribute(scores, found.input, target, method, where, found)
        other = attribute(random, found.input, target, method, made.layer, blind)
        yield made, measure_faithfulness(scores.probabilities, found.input, target, made, other)


def read_one(predictor: Predictor, image: str | Path) -> Tensor:
    """The first sample of a file as the network takes it, 1×C×H×W.

    Raises:
        DataError: The file is missing or cannot be read.
        RecipeError: There are several files.
    """
    files = predictor.files(image)
    if len(files) > 1:
        raise RecipeError(f"{image}: holds {len(files):,} files; explain one image at a time")
    batch = next(predictor.read(files))
    return batch.images[:1]


def _padded(predictor: Predictor, pixels: Tensor) -> Tensor:
    """An image with its last rows and columns repeated up to a size that a dense network takes."""
    if not predictor.task.target.dense or predictor.inputs.modality != "images":
        return pixels
    sizes = sizes_of(predictor.model)
    height, width = (sizes.taken(side) - side for side in pixels.shape[2:])
    return functional.pad(pixels.float(), (0, width, 0, height), mode="replicate").to(pixels.dtype)


def _target(predictor: Predictor, word: str | None, output: Tensor) -> int:
    classes = predictor.labels.classes
    if word is None:
        scores = output[0].flatten(1).mean(1) if output.dim() > 2 else output[0]
        return int(scores.argmax())
    if word in classes:
        return classes.index(word)
    if word.isdigit() and int(word) < len(classes):
        return int(word)
    raise RecipeError(f"--class {word}: no such class{nearest_names(word, classes)}")


def _shown_layer(found: Capture) -> Operation:
    try:
        return choose_layer(found)
    except ModelError:
        maps = [op for op in found.maps if max(op.output.shape[2:]) > 1]
        return (maps or list(found.operations))[-1]


def _last_convolution(found: Capture, shown: Operation) -> Operation:
    """The last convolution up to a layer, or the layer if there is none."""
    before = found.operations[: [op.name for op in found.operations].index(shown.name) + 1]
    return next((op for op in reversed(before) if op.kind.startswith("conv")), shown)


def _methods(
    predictor: Predictor, asked: Sequence[str] | None, found: Capture, has_classes: bool
) -> Sequence[str]:
    """The attribution methods to compute."""
    if not has_classes or predictor.inputs.modality != "images":
        if asked:
            what = f"a {predictor.task.name} run on {predictor.inputs.modality}"
            raise RecipeError(f"--method applies to images and classes; {predictor.name} is {what}")
        return ()
    differentiable = any(op.gradient is not None for op in found.operations)
    possible = applicable(inner_network(predictor)) if differentiable else ["occlusion"]
    spatial = any(max(op.output.shape[2:]) > 1 and op.gradient is not None for op in found.maps)
    possible = [name for name in possible if spatial or name not in CAMS]
    if asked is None:
        return [name for name in QUICK if name in possible] or possible[:1]
    every = possible if "all" in asked else list(asked)
    for name in every:
        if name not in NAMES:
            raise RecipeError(f"--method {name}: no such method{nearest_names(name, [*NAMES, 'all'])}")
        if name not in possible:
            raise RecipeError(f"--method {name}: does not apply to {predictor.name}: it needs other layers")
    return every


def _run_of(word: str | Path | Run, predictor: Predictor) -> Run:
    if isinstance(word, Run):
        return word
    path = Path(word)
    if not (path / "run.json").exists():
        raise RunError(f"{word}: has no training images here; --neighbors applies to runs")
    from convnet.workflows.run import load_run

    return load_run(path)


def nearest_training(run: Run, pixels: Tensor, count: int) -> list[Neighbor]:
    """The training samples whose embeddings are nearest to that of an image.

    Args:
        run: The run.
        pixels: The image as the network takes it, 1×C×H×W.
        count: The number of samples.

    Raises:
        ConvnetError: The data is not available, or the network has no embedding.
    """
    require_embedding(run.folder, run.recipe, run.model)
    dataset = open_own_data(run)
    split = read_split(run.folder.read("split.csv"), dataset, run.folder.file("split.csv"))
    kept: list[Tensor] = []

    def batches() -> Any:
        for batch in Loader(dataset, split.train, evaluation_batch(dataset.info.shape)).epoch():
            kept.append(batch.indices.cpu())
            yield batch.images

    known = embed(run.model, batches())
    distances, found = nearest(embed(run.model, [pixels]), known, min(count, len(known)), "l2")
    indices = torch.cat(kept)[found[0]].tolist()
    classes = dataset.info.classes
    labels = [classes[int(dataset.targets[i])] if dataset.info.target.exclusive else "" for i in indices]
    return [
        Neighbor(i, location(dataset, i), label, float(distance), read_sample(dataset, i).images[0])
        for i, label, distance in zip(indices, labels, distances[0], strict=True)
    ]


def _visualized(
    predictor: Predictor, target: int | None, layer: str | None, visualization: bool | int
) -> tuple[str, Tensor] | None:
    """An image that excites the class, or a channel of the layer, and what it excites."""
    if visualization is False:
        return None
    if predictor.inputs.modality != "images" or (visualization is True and target is None):
        raise RecipeError(f"{predictor.name}: gradient ascent needs images, and classes or --channel")
    if isinstance(visualization, bool):
        assert target is not None, "checked above"
        return predictor.labels.classes[target], exciting_image(predictor, target)
    if layer is None:
        raise RecipeError(f"channel {visualization}: name the layer that it belongs to (--layer)")
    return f"channel {visualization} of {layer}", exciting_image(predictor, visualization, layer)


def limits_of(predictor: Predictor) -> Limits:
    """The range of normalized pixels."""
    mean, std = predictor.model.normalize.mean, predictor.model.normalize.std
    return Limits((0 - mean) / std, (255 - mean) / std)


def to_pixels(predictor: Predictor, normal: Tensor) -> Tensor:
    """Normalized images as pixels 0…255."""
    mean, std = predictor.model.normalize.mean, predictor.model.normalize.std
    return (normal * std + mean).clamp(0, 255)


def exciting_image(predictor: Predictor, target: int, layer: str | None = None) -> Tensor:
    """An image that excites a class, or a channel of a layer, as pixels 1×C×H×W.

    Args:
        predictor: A network without classical features.
        target: The class, or the channel.
        layer: The layer, a module of the network. Default: the scores of the classes.

    Raises:
        ModelError: The layer is no module, or has no such channel.
    """
    if len(predictor.model.features):
        raise ModelError(f"{predictor.name}: gradient ascent needs a network without classical features")
    shape = predictor.inputs.shape
    found = visualize(
        _MeanScores(inner_network(predictor)),
        (shape.channels, shape.height, shape.width),
        limits_of(predictor),
        [target],
        layer and f"network.{layer}",
    )
    return to_pixels(predictor, found)
