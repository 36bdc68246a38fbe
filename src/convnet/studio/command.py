"""Commands that are equivalent to actions in the page."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def command(*words: object, **options: object) -> str:
    """A command line.

    Args:
        *words: The words after `convnet`.
        **options: Options with their values; those that are None or False are left out.
    """
    parts = ["convnet", *map(shown, words)]
    for name, value in options.items():
        option = f"--{name.replace('_', '-')}"
        if value is True:
            parts.append(option)
        elif value is not None and value is not False:
            parts += [option, shown(value)]
    return shlex.join(parts)


def train_command(word: str, changes: Mapping[str, Any], threads: int | None = None) -> str:
    """The command that trains a recipe with changed fields."""
    settings = [f"{field}={as_text(value)}" for field, value in changes.items()]
    words = (part for setting in settings for part in ("--set", setting))
    return command("train", word, *words, threads=threads)


def as_text(value: Any) -> str:
    """A value as `--set` reads it."""
    return (
        value
        if isinstance(value, str) and value not in ("", "null")
        else json.dumps(value, ensure_ascii=False)
    )


def shown(word: object) -> str:
    """A word; a path below the current folder is shortened."""
    text = str(word)
    path = Path(text)
    if path.is_absolute() and path.is_relative_to(Path.cwd()):
        return str(path.relative_to(Path.cwd()))
    return text
