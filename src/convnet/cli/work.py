"""A bar for work on many files, on standard error."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")


class WorkProgress:
    """A bar in a terminal, nothing elsewhere; lines in between are printed above it."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.console = Console(stderr=True, highlight=False)
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )

    def over(self, items: Iterable[T], total: int) -> Iterator[T]:
        """The same items, counted."""
        yield from self.bar.track(items, total=total, description=self.what)

    def say(self, line: str) -> None:
        """A line that stays."""
        self.console.print(f"  {line}", soft_wrap=True, markup=False)

    def __enter__(self) -> WorkProgress:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()
