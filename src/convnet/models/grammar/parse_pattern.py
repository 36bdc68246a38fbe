"""The grammar of network patterns: text → a flat list of layers.

sequence = item {"-" item}
item     = (layer | "(" sequence ")" | "[" sequence "]") ["*" number]
layer    = name [number] {("x" | "s" | "p") number} ["?"]

The number is the filters of CONV, the units of FC or the window of POOL; x, s and p are the side of the
kernel, the stride and the padding: CONV10x5s2p1, POOL3s2.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from convnet.errors import RecipeError
from convnet.registry import nearest

NUMBERED = ("CONV", "FC", "POOL")
OPTIONS = {"x": ("CONV",), "s": ("CONV", "POOL"), "p": ("CONV", "POOL")}
"""The layers that take a kernel size, a stride or a padding."""
NAMES = (*NUMBERED, "SOFTMAX", "RELU", "TANH", "SIGMOID", "ELU", "BN", "DROPOUT")
BRACKETS = {"(": ")", "[": "]"}
MOST_LAYERS = 1000
DEEPEST = 50
MOST_UNITS = 1_000_000
MOST_SIDE = 1000

_LAYER = re.compile(rf"({'|'.join(NAMES)})\d*([xsp]\d+)*\??", re.IGNORECASE | re.ASCII)
_TOKEN = re.compile(
    r"\s*(?:([A-Za-z]+?)(\d*)((?:[xspXSP]\d+)*)(\??)(?![A-Za-z0-9])|([A-Za-z0-9]*[A-Za-z][A-Za-z0-9]*)|(\d+)|(\S))",
    re.ASCII,
)


@dataclass(frozen=True)
class Layer:
    """A layer of a pattern; what is not given is None.

    Attributes:
        name: CONV, POOL, ….
        number: The filters of CONV, the units of FC, the window of POOL.
        kernel_size: The side of the kernel.
        stride: The stride.
        padding: The zeros on either end.
        optional: Whether it is left out where it does not fit.
        place: Its position in the text.
    """

    name: str
    number: int | None
    kernel_size: int | None
    stride: int | None
    padding: int | None
    optional: bool
    place: int


def is_pattern(word: str) -> bool:
    """Whether the name of a model is a pattern: it starts with a bracket or contains layers."""
    parts = re.split(r"[-–—*()\[\]\s]+", word)
    return word[:1] in BRACKETS or any(_LAYER.fullmatch(part) for part in parts)


def pointed(text: str, place: int, message: str) -> str:
    """A message with the pattern below it and a mark under the position."""
    return f"{message}\n  {text}\n  {' ' * place}^"


@cache
def parse(text: str) -> tuple[Layer, ...]:
    """Parse a pattern into its layers, with groups repeated.

    Raises:
        RecipeError: The pattern does not follow the grammar, has over 1,000 layers or 50 nested brackets, or
            does not end in its only SOFTMAX; the message marks the position.
    """
    layers = _Parser(text).parse()
    for layer in layers[:-1]:
        if layer.name == "SOFTMAX":
            raise RecipeError(pointed(text, layer.place, "model pattern: SOFTMAX can only be the last layer"))
    if not layers or layers[-1].name != "SOFTMAX":
        raise RecipeError(pointed(text, len(text.rstrip()), "model pattern: it must end in -SOFTMAX"))
    return layers


class _Parser:
    """Recursive descent over the tokens of one text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list(_TOKEN.finditer(text))
        self.next = 0
        self.depth = 0

    def parse(self) -> tuple[Layer, ...]:
        layers = self._sequence()
        if (extra := self._peek()) is not None:
            raise self._error(f"'{extra}' is not expected here")
        return tuple(layers)

    def _sequence(self) -> list[Layer]:
        layers = self._item()
        while self._peek() == "-":
            self.next += 1
            layers = self._bounded(layers + self._item())
        return layers

    def _item(self) -> list[Layer]:
        opened = self._peek()
        if opened in BRACKETS:
            start = self.next
            if self.depth == DEEPEST:
                raise self._error(f"over {DEEPEST} nested brackets")
            self.next, self.depth = self.next + 1, self.depth + 1
            layers = self._sequence()
            if self._peek() != BRACKETS[opened]:
                opening = f"to close the '{opened}' at position {self.tokens[start].start(7) + 1}"
                raise self._error(f"expected '-', '*' or '{BRACKETS[opened]}' {opening}")
            self.next, self.depth = self.next + 1, self.depth - 1
        else:
            layers = [self._layer()]
        if self._peek() == "*":
            self.next += 1
            layers = self._repeated(layers)
        return layers

    def _repeated(self, layers: list[Layer]) -> list[Layer]:
        if self._at_end() or not (number := self.tokens[self.next].group(6)):
            raise self._error("expected a number of repetitions after '*'")
        times = min(int(number[:9]), MOST_LAYERS + 1)
        repeated = self._bounded(layers * times)
        self.next += 1
        return repeated

    def _layer(self) -> Layer:
        if self._at_end():
            raise self._error("expected a layer")
        name, number, options, optional, word = self.tokens[self.next].group(1, 2, 3, 4, 5)
        if word is not None:
            raise self._error(f"unknown layer '{word}'{nearest(word.upper(), NAMES)}")
        if name is None:
            raise self._error(f"expected a layer, got '{self._peek()}'")
        name = name.upper()
        if name not in NAMES:
            raise self._error(f"unknown layer '{name}'{nearest(name, NAMES)}")
        if number and name not in NUMBERED:
            raise self._error(f"'{number}' does not apply to {name}; only CONV, FC and POOL take a number")
        if number and not 0 < int(number[:9]) <= MOST_UNITS:
            raise self._error(f"{name} takes a number from 1 to {MOST_UNITS:,}, not {number}")
        if optional and name != "POOL":
            raise self._error(f"'?' does not apply to {name}, only to POOL")
        place = self.tokens[self.next].start(1)
        given = self._options(name, options)
        self.next += 1
        return Layer(
            name,
            int(number) if number else None,
            given.get("x"),
            given.get("s"),
            given.get("p"),
            bool(optional),
            place,
        )

    def _options(self, name: str, text: str) -> dict[str, int]:
        """Kernel size, stride and padding: x5s2p1."""
        found: dict[str, int] = {}
        for letter, digits in re.findall(r"([xsp])(\d+)", text.lower()):
            least = 0 if letter == "p" else 1
            if name not in OPTIONS[letter]:
                raise self._error(
                    f"'{letter}{digits}' does not apply to {name}, only to {' and '.join(OPTIONS[letter])}"
                )
            if letter in found:
                raise self._error(f"{name} has two numbers after '{letter}'")
            if not least <= int(digits[:9]) <= MOST_SIDE:
                raise self._error(
                    f"{name} takes a number from {least} to {MOST_SIDE:,} after '{letter}', not {digits}"
                )
            found[letter] = int(digits)
        return found

    def _bounded(self, layers: list[Layer]) -> list[Layer]:
        if len(layers) > MOST_LAYERS:
            raise self._error(f"over {MOST_LAYERS:,} layers")
        return layers

    def _at_end(self) -> bool:
        return self.next >= len(self.tokens)

    def _peek(self) -> str | None:
        return None if self._at_end() else self.tokens[self.next].group().strip()

    def _error(self, message: str) -> RecipeError:
        place = len(self.text.rstrip())
        if not self._at_end():
            found = self.tokens[self.next]
            place = found.end() - len(found.group().lstrip())
        return RecipeError(pointed(self.text, place, f"model pattern: {message}"))
