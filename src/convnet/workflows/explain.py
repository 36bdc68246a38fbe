"""Explain what a network does with one image."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from convnet.data import Loader, location, read_sample, read_split
from convnet.errors import ModelError, RecipeError, RunError
from convnet.explain import embed
from convnet.explain.cam import choose_layer
from convnet.explain.capture import Capture, Operation, capture, with_softmax
from convnet.explain.visualize import visualize
from convnet.layers import nearest, sizes_of
from convnet.prediction import NetworkPredictor
from convnet.recipes.load import require_embedding
from convnet.registry import nearest as nearest_names
from convnet.types import evaluation_batch
from convnet.workflows.attributions import attributions, chosen_methods
from convnet.workflows.explained_network import MeanScores, inner_network, limits_of, to_pixels
from convnet.workflows.explanation import Explanation, Neighbor
from convnet.workflows.predictors import load_network_predictor
from convnet.workflows.run import Run
from convnet.workflows.run_data import open_own_data


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
    predictor = word.predictor if isinstance(word, Run) else load_network_predictor(word)
    pixels = _padded(predictor, read_one(predictor, image))
    network = inner_network(predictor.model)
    normal = predictor.model.normalize(predictor.task.prepare_input(pixels)).detach()
    has_classes = predictor.task.target.has_classes
    if target is not None and not has_classes:
        raise RecipeError(f"--class {target}: {predictor.name} has no classes")
    try:
        found = capture(network, normal, partial(_target, predictor, target) if has_classes else None)
    except RuntimeError as error:
        raise ModelError(f"{predictor.name}: the network cannot be followed: {error}") from error
    chosen = _target(predictor, target, found.output) if has_classes else None
    if predictor.task.target.exclusive and found.output.dim() == 2:
        found = with_softmax(found, predictor.labels.calibration.temperature)
    shown = found[layer] if layer is not None else _shown_layer(found)
    asked = chosen_methods(predictor, methods, found, chosen is not None)
    maps = []
    if chosen is not None and asked:
        scores = MeanScores(network, predictor.task.target.exclusive, predictor.labels.calibration).eval()
        maps = list(attributions(scores, found, asked, chosen, layer))
    explanation = Explanation(
        predictor,
        str(image),
        pixels,
        found,
        chosen,
        shown,
        shown if layer is not None else _last_weighted(found, shown),
        None if unit is None else tuple(unit),
        maps,
        nearest_training(_run_of(word, predictor), pixels, neighbors) if neighbors else (),
        _visualized(predictor, chosen, layer, visualization),
    )
    _ = explanation.unit  # a position outside the map is an error before anything is written
    return explanation


def read_one(predictor: NetworkPredictor, image: str | Path) -> Tensor:
    """The first sample of a file as the network takes it, 1×C×H×W.

    Raises:
        DataError: The file is missing or cannot be read.
        RecipeError: There are several files.
    """
    files = predictor.files(image)
    if len(files) > 1:
        raise RecipeError(f"{image}: holds {len(files):,} files; explain one image at a time")
    batch = next(predictor.read(files))
    if len(batch.images) > 1:
        raise RecipeError(f"{image}: holds {len(batch.images):,} samples; explain one at a time")
    return torch.from_numpy(batch.images)


def _padded(predictor: NetworkPredictor, pixels: Tensor) -> Tensor:
    """An image with its last rows and columns repeated up to a size that a dense network takes."""
    if not predictor.task.target.dense or predictor.inputs.modality != "images":
        return pixels
    sizes = sizes_of(predictor.model)
    height, width = (sizes.taken(side) - side for side in pixels.shape[2:])
    return functional.pad(pixels.float(), (0, width, 0, height), mode="replicate").to(pixels.dtype)


def _target(predictor: NetworkPredictor, word: str | None, output: Tensor) -> int:
    classes = predictor.labels.classes
    if word is None:
        scores = output[0].flatten(1).mean(1) if output.dim() > 2 else output[0]
        return int(scores.argmax())
    if word in classes:
        return classes.index(word)
    if word.isdecimal() and int(word) < len(classes):
        return int(word)
    raise RecipeError(f"--class {word}: no such class{nearest_names(word, classes)}")


def _shown_layer(found: Capture) -> Operation:
    try:
        return choose_layer(found)
    except ModelError:
        maps = [op for op in found.maps if max(op.output.shape[2:]) > 1]
        return (maps or list(found.operations))[-1]


def _last_weighted(found: Capture, shown: Operation) -> Operation:
    """The last convolution or dense layer up to a layer, or the layer if there is none."""
    before = found.operations[: [op.name for op in found.operations].index(shown.name) + 1]
    return next((op for op in reversed(before) if op.kind.startswith(("conv", "linear"))), shown)


def _run_of(word: str | Path | Run, predictor: NetworkPredictor) -> Run:
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
    predictor: NetworkPredictor, target: int | None, layer: str | None, visualization: bool | int
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


def exciting_image(predictor: NetworkPredictor, target: int, layer: str | None = None) -> Tensor:
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
    shape, network = predictor.inputs.shape, inner_network(predictor.model)
    found = visualize(
        MeanScores(network) if layer is None else network,
        (shape.channels, shape.height, shape.width),
        limits_of(predictor),
        [target],
        layer,
    )
    return to_pixels(predictor, found)
