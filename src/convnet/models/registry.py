"""The table of networks, and building one for given images."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import nn

from convnet.errors import ModelError, RecipeError, in_one_line
from convnet.layers import require_size
from convnet.models.grammar.parse_pattern import is_pattern
from convnet.registry import Registry
from convnet.types import ImageShape

ARROW = "->"
"""What makes a pipeline of a word in a model's place."""

B = TypeVar("B", bound=Callable[..., nn.Module])


@dataclass(frozen=True)
class Facts:
    """What is known of a network besides how to build it.

    `parameters` is the count for `native` images and `num_classes` logits at the default options;
    `smallest` the side of the smallest image it accepts, `source` the paper, the course or the program.
    `targets` are what it can be trained on: one class per image, or maps (masks, images).
    """

    native: ImageShape
    num_classes: int
    smallest: int
    parameters: int
    source: str
    targets: tuple[str, ...] = ("class",)


MODELS: Registry[Callable[..., nn.Module], Facts] = Registry(
    "model", importable=True, given=("in_channels", "num_classes", "image_size")
)


def network(
    name: str,
    *,
    native: tuple[int, int, int],
    num_classes: int,
    smallest: int,
    parameters: int,
    source: str,
    targets: tuple[str, ...] = ("class",),
    aliases: tuple[str, ...] = (),
) -> Callable[[B], B]:
    """Decorator that files a builder and its facts under `name`; the contract test checks the facts."""
    facts = Facts(ImageShape(*native), num_classes, smallest, parameters, source, targets)

    def add(builder: B) -> B:
        MODELS.register(name, facts, aliases=aliases)(builder)
        return builder

    return add


def build_model(name: str, shape: ImageShape, num_classes: int, /, **options: Any) -> nn.Module:
    """Build the network `name`, or a pattern of layers, for images of `shape` and `num_classes` logits.

    A factory of the user's (`package.module:factory`) is handed those of `in_channels`, `num_classes` and
    `image_size` (height, width) that its signature names, and the options.

    Raises:
        UnknownNameError: no such network.
        RecipeError: an option is unknown or out of range.
        ModelError: the images are too small for the network, or the factory failed.
    """
    name, options = _written_down(name, options)
    builder = MODELS[name]
    own_layers = options.keys() & {"layers", "stages"}  # what is written down knows itself what it needs
    options = MODELS.options(name, options)
    image_size = (shape.height, shape.width)
    if name in MODELS:
        facts = MODELS.facts(name)
        if facts is not None and not own_layers:
            require_size(name, image_size, facts.smallest)
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
    return model


def _written_down(name: str, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """A pattern or a pipeline in a model's place as the model that builds it."""
    choice = named_model(name)
    if twice := options.keys() & choice.keys():
        raise RecipeError(f"model.{min(twice)}: the text in the model's place says it already")
    return choice.pop("name"), {**choice, **options}


def named_model(word: str) -> dict[str, Any]:
    """What a word in a model's place means: its name, a pattern of layers (M66), or a pipeline (M08)."""
    if ARROW in word:
        return {"name": "pipeline", "stages": word}
    if word not in MODELS and is_pattern(word):
        return {"name": "pattern", "layers": word}
    return {"name": MODELS.canonical(word)}
