"""Inspect a network with one image: its activations, the arithmetic of its units, heat maps."""

from __future__ import annotations

import copy
import itertools
import secrets
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor

from convnet.data import Dataset, Preprocess, Split, read_split
from convnet.data.datasets.statistics import fixed_statistics
from convnet.errors import DataError, ModelError
from convnet.explain.arithmetic import unit
from convnet.explain.capture import Capture, Operation, capture, with_softmax
from convnet.explain.receptive_fields import receptive_fields
from convnet.layers import Fitted, Network, Normalize
from convnet.models import MODELS, build_model
from convnet.outputs import Labels
from convnet.prediction import InputSpec, NetworkPredictor
from convnet.studio.network_view import Wanted, layers_of, pictures_of, weight_of
from convnet.studio.recent import Recent
from convnet.studio.tensors import Picture, pack_pictures
from convnet.tasks import TASKS
from convnet.types import ImageShape
from convnet.workflows.attributions import attributions, chosen_methods
from convnet.workflows.explained_network import MeanScores, inner_network
from convnet.workflows.run import Run
from convnet.workflows.run_data import open_own_data

SEED = 0
LARGEST_SIDE = 224
"""The sides of images for networks with random weights are no longer."""
NETWORKS, EDITED, INSPECTIONS = 4, 2, 12
"""How many networks, networks with changed weights, and inspected images are kept."""
_COMPUTING = threading.RLock()
"""Networks are hooked while they are followed, so that one thread at a time may compute."""


@dataclass(frozen=True)
class Edit:
    """A weight that was changed by hand.

    Attributes:
        parameter: The name of the parameter.
        position: The position of the number in it.
        value: The new value.
    """

    parameter: str
    position: tuple[int, ...]
    value: float


class Inspection:
    """A network and one image.

    Args:
        predictor: The network.
        pixels: The image as the network takes it, uint8 1×C×H×W.
        edited: The network with weights that were changed by hand. Default: as it is.

    Raises:
        ModelError: The network cannot be followed.
    """

    def __init__(self, predictor: NetworkPredictor, pixels: Tensor, edited: Network | None = None) -> None:
        self.predictor, self.pixels = predictor, pixels
        model = predictor.model if edited is None else edited
        self.network = inner_network(model)
        normal = model.normalize(predictor.task.prepare_input(pixels)).detach()
        self.has_classes = predictor.task.target.has_classes
        try:
            with _COMPUTING:
                found = capture(self.network, normal, _largest if self.has_classes else None)
        except RuntimeError as error:
            raise ModelError(f"{predictor.name}: the network cannot be followed: {error}") from error
        self.logits = found.output
        if predictor.task.target.exclusive and found.output.dim() == 2:
            found = with_softmax(found, predictor.labels.calibration.temperature)
        self.found: Capture = found

    def describe(self) -> dict[str, Any]:
        """The layers and the prediction as plain values."""
        return {"layers": layers_of(self.found, self.network), "prediction": self._prediction()}

    def _prediction(self) -> dict[str, Any] | None:
        if not self.has_classes or self.logits.dim() != 2:
            return None
        made = self.predictor.kind.prediction(
            "image", self.logits[0].float().numpy(), self.pixels[0].numpy(), self.predictor.labels
        ).as_dict()
        made["probabilities"] = list(made["probabilities"].items())  # JavaScript would sort digits as keys
        made["temperature"] = self.predictor.labels.calibration.temperature
        return made

    def tensors(self, wanted: Collection[Wanted]) -> bytes:
        """Activations, gradients and weights of some layers as a binary message."""
        return pack_pictures({}, pictures_of(self.found, self.network, wanted))

    def unit(self, layer: str, position: Sequence[int]) -> dict[str, Any]:
        """The arithmetic of a unit, and the part of every earlier layer that it depends on.

        Raises:
            ModelError: There is no such unit.
        """
        made = unit(self.found, layer, position).to_dict()
        op = self.found[layer]
        made["reads"] = [name or "input" for name in op.inputs]
        made["fields"] = receptive_fields(self.found, layer, position)
        weight = weight_of(op, self.network)
        made["weight"] = None if weight is None else {"name": f"{op.module}.weight", "layout": _layout(op)}
        return made

    def heatmaps(self, methods: Sequence[str] | None, target: int | None) -> bytes:
        """Attribution maps with their trust scores as a binary message.

        Args:
            methods: Names of methods. Default: the quick ones.
            target: The class. Default: the predicted one.

        Raises:
            ConvnetError: A method does not exist or apply.
        """
        predictor = self.predictor
        with _COMPUTING:
            chosen = int(self.logits[0].flatten(1).mean(1).argmax()) if self.logits.dim() > 2 else None
            chosen = int(self.logits[0].argmax()) if chosen is None else chosen
            chosen = chosen if target is None else target
            if not 0 <= chosen < len(predictor.labels.classes):
                raise ModelError(f"class {chosen}: no such class")
            found = capture(self.network, self.found.input, chosen)
            asked = chosen_methods(predictor, methods, found, self.has_classes)
            scores = MeanScores(
                self.network, predictor.task.target.exclusive, predictor.labels.calibration
            ).eval()
            made = list(attributions(scores, found, asked, chosen, None))
        trust = {
            attribution.method: {**score.as_dict(), "layer": attribution.layer} for attribution, score in made
        }
        pictures = [
            Picture(attribution.method, "heatmap", attribution.values[None]) for attribution, _ in made
        ]
        return pack_pictures({"class": chosen, "trust": trust}, pictures)


def _layout(op: Operation) -> str:
    """How the kernel of a unit lies in the weight of its layer; empty if it is not simply a part of it."""
    layouts = {"conv1d": "conv", "conv2d": "conv", "linear": "dense", "FlattenLinear": "flatten"}
    return layouts.get(op.kind, "")


def _largest(output: Tensor) -> int:
    scores = output[0].flatten(1).mean(1) if output.dim() > 2 else output[0]
    return int(scores.argmax())


def edited(model: Network, edits: Sequence[Edit]) -> Network:
    """A copy of a network with some weights changed.

    Raises:
        ModelError: An edit names no number of the network.
    """
    copied = copy.deepcopy(model)
    parameters = dict(inner_network(copied).named_parameters())
    for edit in edits:
        if edit.parameter not in parameters:
            raise ModelError(f"'{edit.parameter}' is no parameter of the network")
        values = parameters[edit.parameter].data
        place = edit.position
        if len(place) != values.dim() or any(
            not 0 <= p < n for p, n in zip(place, values.shape, strict=True)
        ):
            raise ModelError(
                f"'{edit.parameter}' has no number at {place}; its shape is {tuple(values.shape)}"
            )
        values[place] = edit.value
    return copied


@dataclass(frozen=True)
class RandomNetwork:
    """A network of the zoo with random weights, for images of its usual size."""

    name: str

    @cached_property
    def predictor(self) -> NetworkPredictor:
        """The network.

        Raises:
            ConvnetError: There is no such network, or it is fitted to data.
        """
        facts = MODELS.facts(self.name) if self.name in MODELS else None
        native = facts.native if facts else ImageShape(3, 32, 32)
        if native.height == 1 and native.channels == 1:
            raise DataError(f"{self.name}: takes series; only networks on images are shown")
        shape = ImageShape(native.channels, min(native.height, LARGEST_SIDE), min(native.width, LARGEST_SIDE))
        classes = facts.num_classes if facts else 10
        with _COMPUTING, torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            network = build_model(self.name, shape, classes)
        if any(isinstance(module, Fitted) for module in network.modules()):
            raise ModelError(f"{self.name}: is fitted to data; train it, and open the run")
        model = Network(Normalize(*fixed_statistics("symmetric", shape.channels)), network).eval()
        spec = InputSpec("images", shape, Preprocess(), model=self.name)
        labels = Labels(tuple(str(i) for i in range(classes)))
        return NetworkPredictor.of(self.name, model, TASKS.build("classification"), spec, labels)


class Inspectors:
    """The networks and images that were inspected last."""

    def __init__(self) -> None:
        self._networks: Recent[str, NetworkPredictor] = Recent(NETWORKS)
        self._edited: Recent[tuple[int, tuple[Edit, ...]], Network] = Recent(EDITED)
        self._inspections: Recent[int, Inspection] = Recent(INSPECTIONS)
        self._datasets: Recent[str, tuple[Dataset, Split]] = Recent(2)
        self._numbers = itertools.count(secrets.randbelow(2**40))

    def network(self, key: str, load: Callable[[], NetworkPredictor]) -> NetworkPredictor:
        """A network by a name that changes when it does."""
        found = self._networks.get(key, load)
        assert found is not None, "it is made if it is missing"
        return found

    def open(
        self, predictor: NetworkPredictor, pixels: Tensor, edits: Sequence[Edit]
    ) -> tuple[int, Inspection]:
        """Inspect a network with one image.

        Returns:
            The number by which the inspection is found again, and the inspection.
        """
        model, number = None, next(self._numbers)
        if edits:
            key = id(predictor.model), tuple(edits)
            model = self._edited.get(key, partial(edited, predictor.model, edits))
        found = self._inspections.get(number, partial(Inspection, predictor, pixels, model))
        assert found is not None, "it has just been made"
        return number, found

    def inspection(self, number: int) -> Inspection:
        """An inspection that was opened before.

        Raises:
            DataError: It is not kept any more.
        """
        found = self._inspections.get(number)
        if found is None:
            raise DataError("this inspection has expired; open the image again")
        return found

    def samples(self, run: Run) -> tuple[Dataset, Split]:
        """The data of a run and its split; kept for the next sample.

        Raises:
            DataError: The data is not available.
        """

        def load() -> tuple[Dataset, Split]:
            dataset = open_own_data(run)
            return dataset, read_split(run.folder.read("split.csv"), dataset, run.folder.file("split.csv"))

        found = self._datasets.get(str(run.path), load)
        assert found is not None, "it is made if it is missing"
        return found
