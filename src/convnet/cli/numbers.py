"""Numbers as users type them: 1,2,3 or [[1, 2], [3, 4]], with fractions such as 1/3."""

from __future__ import annotations

import json
import re
from typing import Any

from convnet.errors import DataError

LONGEST = 100_000
_NUMBER = r"[+-]?\s*(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_FRACTION = re.compile(rf"({_NUMBER})\s*/\s*({_NUMBER})")


def is_numbers(text: str) -> bool:
    """Whether a word is a list of numbers and not the name of a file."""
    return bool(re.fullmatch(r"[\s\d.,+\-/eE\[\]]+", text)) and text.strip().startswith("[")


def parse_numbers(text: str, what: str) -> Any:
    """A list of numbers, or nested lists; brackets around a single row may be left out.

    Raises:
        DataError: The text is none.
    """
    if len(text) > LONGEST:
        raise DataError(f"{what}: {len(text):,} characters; at most {LONGEST:,} are read")
    body = text.strip()
    try:
        plain = _FRACTION.sub(_divided, body if body.startswith("[") else f"[{body}]")
        found = json.loads(re.sub(r"(?<![\d.])\.(\d)", r"0.\1", re.sub(r"(\d)\.(?!\d)", r"\1.0", plain)))
    except (ValueError, RecursionError, ZeroDivisionError, OverflowError):
        shown = text if len(text) <= 60 else f"{text[:60]}…"
        raise DataError(f"{what} '{shown}': expected numbers such as 1,2,3 or [[1, 2], [3, 1/2]]") from None
    if not found:
        raise DataError(f"{what}: there are no numbers")
    return found


def parse_row(text: str, what: str) -> list[float]:
    """A list of numbers.

    Raises:
        DataError: The text is none.
    """
    found = parse_numbers(text, what)
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in found):
        raise DataError(f"{what} '{text[:60]}': expected one row of numbers, such as 1,2,3")
    try:
        return [float(value) for value in found]
    except OverflowError:
        raise DataError(f"{what} '{text[:60]}': a number is too large") from None


def parse_whole(text: str, what: str) -> list[int]:
    """A list of whole numbers.

    Raises:
        DataError: The text is none.
    """
    found = parse_row(text, what)
    if not all(value.is_integer() for value in found):
        raise DataError(f"{what} '{text[:60]}': expected whole numbers, such as 1,2,3")
    return [int(value) for value in found]


def parse_sizes(text: str, what: str) -> tuple[int, ...]:
    """Whole numbers such as 7 or 7x9.

    Raises:
        DataError: The text is none.
    """
    if not re.fullmatch(r"[0-9]{1,6}([x×,][0-9]{1,6})?", text.strip()):
        raise DataError(f"{what} '{text[:60]}': expected a whole number, or two such as 7x9")
    return tuple(int(part) for part in re.split("[x×,]", text.strip()))


def parse_assigned(texts: list[str], what: str) -> dict[str, float]:
    """`x=1,y=2` or several such words as a dictionary.

    Raises:
        DataError: A part is no name and number.
    """
    found: dict[str, float] = {}
    for part in (part for text in texts for part in text.split(",") if part.strip()):
        name, _, value = (word.strip() for word in part.partition("="))
        try:
            (number,) = parse_row(value, what)
        except (DataError, ValueError):
            raise DataError(f"{what} '{part[:60]}': expected name=number, such as x=2") from None
        if name in found:
            raise DataError(f"{what} '{part[:60]}': {name} has a value already")
        found[name] = number
    return found


def _divided(found: re.Match[str]) -> str:
    return repr(float(found[1].replace(" ", "")) / float(found[2].replace(" ", "")))
