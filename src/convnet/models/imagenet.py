"""The classes of ImageNet-1k, in the order of the outputs of published weights."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def imagenet_classes() -> tuple[str, ...]:
    """The names of the 1000 classes."""
    text = files("convnet.models").joinpath("imagenet_classes.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())
