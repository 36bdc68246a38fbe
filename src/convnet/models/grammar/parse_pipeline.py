"""The grammar of pipelines: features, an arrow, and a classifier.

pipeline = call {"+" call} "->" call
call     = name ["(" option "=" value {"," option "=" value} ")"] | run ":encoder"
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from convnet.errors import RecipeError, in_one_line
from convnet.features import FEATURES
from convnet.models.registry import ARROW, MODELS
from convnet.registry import Registry, nearest

_CALL = re.compile(r"\s*([a-z][a-z0-9]*(?:-[a-z0-9]+)*)\s*(?:\((.*)\))?\s*", re.DOTALL)
ENCODER = ":encoder"
"""The suffix that turns a run into a feature: "runs/mnist-1:encoder"."""
_PLAIN = re.compile(r"[A-Za-z][\w-]*")


@dataclass(frozen=True)
class Call:
    """A registered builder with all of its options."""

    name: str
    options: Mapping[str, Any]

    def __str__(self) -> str:
        written = ", ".join(f"{key}={_written(value)}" for key, value in self.options.items())
        return f"{self.name}({written})" if written else self.name


@dataclass(frozen=True)
class Stages:
    """The features and the classifier of a pipeline."""

    features: tuple[Call, ...]
    classifier: Call

    def __str__(self) -> str:
        return f"{'+'.join(map(str, self.features))} {ARROW} {self.classifier}"

    @property
    def label(self) -> str:
        """The names only: "hog+color-linear"."""
        return f"{'+'.join(call.name for call in self.features)}-{self.classifier.name}"


def parse_pipeline(text: str) -> Stages:
    """Parse a pipeline; options are validated and completed.

    Raises:
        RecipeError: The text does not follow the grammar, or an option is invalid.
        UnknownNameError: A feature or classifier is not registered.
    """
    sides = split_outside(text, ARROW)
    if len(sides) != 2:
        raise RecipeError(f"model pipeline: expected 'features -> classifier', got '{text}'")
    features = tuple(parse_call(part, FEATURES, "feature") for part in split_outside(sides[0], "+"))
    classifier = parse_call(sides[1], MODELS, "model")
    if classifier.name in ("pipeline", "pattern"):
        raise RecipeError(f"model pipeline: '{classifier.name}' cannot follow features; use mlp")
    return Stages(features, classifier)


def parse_call(text: str, registry: Registry[Any, Any], kind: str) -> Call:
    """Parse a name with options in brackets; options are validated and completed.

    Raises:
        RecipeError: The text is not such a call, or an option is invalid.
        UnknownNameError: The name is not in `registry`.
    """
    if registry is FEATURES and text.strip().endswith(ENCODER):
        run = str(Path(text.strip().removesuffix(ENCODER)).expanduser().resolve())
        return Call("encoder", registry.options("encoder", {"run": run}))
    match = _CALL.fullmatch(text)
    if match is None:
        raise RecipeError(
            f"model pipeline: '{text.strip()}' is not a {kind}{nearest(text.strip(), registry)}; "
            "write options as name(option=value)"
        )
    name, written = match[1], match[2] or ""
    return Call(name, registry.options(name, _options(name, written)))


def _options(name: str, written: str) -> dict[str, Any]:
    """`hidden=[256], dropout=0.5` → {"hidden": [256], "dropout": 0.5}: values are YAML."""
    options: dict[str, Any] = {}
    for entry in split_outside(written, ",") if written.strip() else []:
        key, equals, value = entry.partition("=")
        if not equals:
            raise RecipeError(f"model pipeline: {name}: expected option=value, got '{entry.strip()}'")
        try:
            options[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise RecipeError(f"model pipeline: {name}: {key.strip()}: {in_one_line(error)}") from None
    return options


def split_outside(text: str, mark: str) -> list[str]:
    """Split at `mark` outside of brackets."""
    parts, depth, start = [], 0, 0
    for place, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if not depth and text.startswith(mark, place):
            parts.append(text[start:place])
            start = place + len(mark)
    return [*parts, text[start:]]


def _written(value: Any) -> str:
    """A value as written in a pipeline: a plain word, a number, a list."""
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return value
    return json.dumps(value)
