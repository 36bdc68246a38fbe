"""`Job`: a training, what its process has reported, and the pages that watch it."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from convnet.studio.audience import Audience
from convnet.studio.channel import packed
from convnet.studio.command import command, shown

ENDED = ("finished", "stopped", "failed")
"""The states of jobs that are not trained any more."""


@dataclass
class Job:
    """A run that is trained or waits for it.

    Attributes:
        number: Its number.
        group: The number of the first job of a race; its own number for a single job.
        order: The order for the training process; see `worker`.
        command: The equivalent command.
        state: "queued", "preparing", "running", or one of `ENDED`.
        message: Why it ended.
        paused: Whether it is paused.
        facts: What the process sent when training started.
        images: The held-out images, as a binary message.
        steps: Step, learning rate, loss, score.
        epochs: Epoch, step, losses and scores of training and validation.
        changes: Step, field, value.
        answers: The latest probabilities for the held-out images.
        result: The final figures.
        log: What the process logged.
        audience: The pages that watch it.
    """

    number: int
    group: int
    order: dict[str, Any]
    command: str
    state: str = "queued"
    message: str = ""
    paused: bool = False
    facts: dict[str, Any] | None = None
    images: bytes | None = None
    steps: list[list[Any]] = field(default_factory=list)
    epochs: list[list[Any]] = field(default_factory=list)
    changes: list[list[Any]] = field(default_factory=list)
    answers: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    log: list[str] = field(default_factory=list)
    process: asyncio.subprocess.Process | None = None
    replies: dict[int, asyncio.Future[dict[str, Any]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.audience = Audience(self.write)

    @property
    def equivalent(self) -> str:
        """The command that gives the same weights."""
        if not self.changes or self.run is None:
            return self.command
        run, threads = shown(self.run), self.order.get("threads")
        return command("train", f"{run}/recipe.yaml", replay=f"{run}/events.csv", threads=threads)

    @property
    def name(self) -> str | None:
        """The run by its path below the folder of runs."""
        run, runs = self.run, Path(self.order["runs"])
        return None if run is None else Path(run).resolve().relative_to(runs.resolve()).as_posix()

    @property
    def run(self) -> str | None:
        """The run folder, once it exists."""
        return self.order.get("run") or (self.facts or {}).get("run")

    def summary(self) -> dict[str, Any]:
        """The job in a list."""
        facts = self.facts or {}
        return {
            "number": self.number,
            "group": self.group,
            "state": self.state,
            "message": self.message,
            "paused": self.paused,
            "run": self.run,
            "name": self.name,
            "process": None if self.process is None else self.process.pid,
            "command": self.equivalent,
            "title": self.order.get("title", ""),
            "epochs": facts.get("epochs"),
            "epoch": self.epochs[-1][0] if self.epochs else 0,
            "step": self.steps[-1][0] if self.steps else 0,
        }

    def snapshot(self) -> dict[str, Any]:
        """All that a page needs that begins to watch."""
        return {
            "type": "snapshot",
            **self.summary(),
            "facts": self.facts,
            "steps": self.steps,
            "epoch_rows": self.epochs,
            "changes": self.changes,
            "answers": self.answers,
            "result": self.result,
            "log": self.log,
            "has_images": self.images is not None,
        }

    def tell_state(self) -> None:
        """Say that the state has changed."""
        self.audience.tell({"type": "state", **self.summary(), "result": self.result})

    def write(self, verb: str, **content: Any) -> None:
        """Send a request to the process; nothing if there is none."""
        if self.process is not None and self.process.stdin is not None:
            with contextlib.suppress(OSError, RuntimeError):  # it has just ended
                self.process.stdin.write(packed({"verb": verb, **content}))
