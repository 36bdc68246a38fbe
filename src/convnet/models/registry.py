"""The registry of networks, and `build_model`."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from convnet.errors import ModelError, RecipeError, in_one_line
from convnet.layers import require_size
from convnet.models.grammar.parse_pattern import is_pattern
from convnet.models.published import PublishedFile
from convnet.registry import Registry
from convnet.types import ImageShape

ARROW = "->"
"""The sign that marks a pipeline."""

B = TypeVar("B", bound=Callable[..., nn.Module])


@dataclass(frozen=True)
class Facts:
    """Facts about a network; the contract test compares them with the network.

    Attributes:
        native: The shape of the images that it was made for.
        num_classes: The number of classes that it was made for.
        smallest: The side of the smallest image that it accepts, or a function of its options.
        parameters: The number of parameters for `native` images and `num_classes` at the default options.
        source: The paper, course or program.
        targets: The targets that it can be trained on: "class", "mask", "image".
        baseline: Whether it is a baseline, which is trained on images as they are, without augmentation.
        fitted: Whether it is fitted in one pass, without gradient steps.
        any_length: Whether it takes series of different lengths and ignores their padding.
        depthwise: Whether most of its convolutions are depthwise, which CPUs compute faster in fp32.
        weights: Its public ImageNet weights.
        rename: The name here of a tensor in files of other libraries.
    """

    native: ImageShape
    num_classes: int
    smallest: int | Callable[..., int]
    parameters: int
    source: str
    targets: tuple[str, ...] = ("class",)
    baseline: bool = False
    fitted: bool = False
    any_length: bool = False
    depthwise: bool = False
    weights: PublishedFile | None = None
    rename: Callable[[str], str] | None = None

    def smallest_for(self, **options: Any) -> int:
        """The side of the smallest image that the network accepts with these options."""
        return self.smallest if isinstance(self.smallest, int) else self.smallest(**options)


def _builder_of(found: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """A factory as it is; a network that is already built becomes a factory of its copies."""
    return (lambda: copy.deepcopy(found)) if isinstance(found, nn.Module) else found


MODELS: Registry[Callable[..., nn.Module], Facts] = Registry(
    "model", importable=True, given=("in_channels", "num_classes", "image_size"), adapt=_builder_of
)


def network(name: str, facts: Facts, *, aliases: tuple[str, ...] = ()) -> Callable[[B], B]:
    """Decorator that registers a builder with its facts."""

    def add(builder: B) -> B:
        MODELS.register(name, facts, aliases=aliases)(builder)
        return builder

    return add


def facts_of(name: str) -> Facts | None:
    """The facts about a network; None for a factory of the user's."""
    return MODELS.facts(name) if name in MODELS else None


def takes_any_length(name: str) -> bool:
    """Whether a network takes series of different lengths; assumed of a factory of the user's."""
    facts = facts_of(name)
    return facts is None or facts.any_length


def has_weights(name: str) -> bool:
    """Whether public ImageNet weights of a network are known."""
    return name in MODELS and MODELS.facts(name).weights is not None


def transfer_options(name: str) -> dict[str, Any]:
    """The options of a network that starts from its public weights with a new head; none without weights."""
    published = MODELS.facts(name).weights if name in MODELS else None
    return {} if published is None else {**published.options, **published.new_head}


def public_weights(name: str) -> PublishedFile:
    """The public ImageNet weights of a network.

    Raises:
        RecipeError: None are known.
    """
    known = {model: facts.weights for model in MODELS if (facts := MODELS.facts(model)).weights is not None}
    if found := known.get(MODELS.canonical(name)):
        return found
    raise RecipeError(
        f"weights imagenet: none are known for '{name}', only for {', '.join(known)}; use one of these, "
        "or train from random weights (--from-scratch)"
    )


def build_model(name: str, shape: ImageShape, num_classes: int, /, **options: Any) -> nn.Module:
    """Build a network.

    Args:
        name: A registered name, a pattern of layers, a pipeline, or `package.module:factory`. A factory gets
            those of `in_channels`, `num_classes` and `image_size` that its signature names, and the options.
        shape: The shape of the images.
        num_classes: The number of logits.
        **options: The network's options.

    Returns:
        The network with initialized weights.

    Raises:
        UnknownNameError: There is no such network.
        RecipeError: An option is unknown or out of range.
        ModelError: The images are too small, or the factory failed.
    """
    name, options = _written_down(name, options)
    builder = MODELS[name]
    own_layers = options.keys() & {"layers", "stages"}  # patterns and pipelines check sizes themselves
    options = MODELS.options(name, options)
    image_size = (shape.height, shape.width)
    if (facts := facts_of(name)) is not None:
        if not own_layers:
            require_size(name, image_size, facts.smallest_for(**options))
        return builder(shape.channels, num_classes, image_size, **options)
    known = {"in_channels": shape.channels, "num_classes": num_classes, "image_size": image_size}
    accepted = inspect.signature(builder).parameters
    try:
        model = builder(**{key: value for key, value in known.items() if key in accepted}, **options)
    except Exception as error:  # a user's code may raise anything; the message must name it
        raise ModelError(
            f"model '{name}' failed to build: {type(error).__name__}: {in_one_line(error)}"
        ) from error
    if not isinstance(model, nn.Module):
        raise ModelError(f"model '{name}' returned {type(model).__name__}, not a torch.nn.Module")
    return _with_sizes(model, name, shape)


def _with_sizes(model: nn.Module, name: str, shape: ImageShape) -> nn.Module:
    """Give lazy layers the sizes that they need for images of `shape`."""
    if not any(map(is_lazy, (*model.parameters(), *model.buffers()))):
        return model
    training = model.training
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(2, *shape))
    except Exception as error:  # a user's code may raise anything
        raise ModelError(
            f"model '{name}' fails on 2 {shape} images: {type(error).__name__}: {in_one_line(error)}"
        ) from error
    return model.train(training)


def _written_down(name: str, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The model and options for a name, a pattern or a pipeline."""
    choice = named_model(name)
    if twice := options.keys() & choice.keys():
        raise RecipeError(f"model.{min(twice)}: already set in the text of the model")
    return choice.pop("name"), {**choice, **options}


def named_model(word: str) -> dict[str, Any]:
    """The model field of a recipe for a name, a pattern of layers or a pipeline."""
    if ARROW in word:
        return {"name": "pipeline", "stages": word}
    if word not in MODELS and is_pattern(word):
        return {"name": "pattern", "layers": word}
    return {"name": MODELS.canonical(word)}
