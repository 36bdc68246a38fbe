"""`Control`: what a user asks of a running training: to stop, pause, save, or change its recipe."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from convnet.errors import RecipeError
from convnet.recipes import Recipe, TrainingSetup
from convnet.recipes.changes import changed, full_field, require_applicable
from convnet.runs import Change

logger = logging.getLogger(__name__)

Asked = tuple[str, Any]
"""A field and its new value."""


class Control:
    """Requests to a training, from any thread; they take effect between two steps.

    Args:
        changes: Changes that a new run makes again, from the `events.csv` of another.
        told: Called in the training thread after every change that took effect.
        before_wait: Called in the training thread when it is paused.
    """

    def __init__(
        self,
        changes: Sequence[Change] = (),
        told: Callable[[Change], None] | None = None,
        before_wait: Callable[[], None] | None = None,
    ) -> None:
        self.changes, self.told, self.before_wait = changes, told, before_wait
        self.stopping = False
        """Whether training shall stop after the current step and can be resumed."""
        self.finishing = False
        """Whether training shall end after the current step with its results."""
        self.recipe: Recipe | None = None
        """The recipe with all changes so far; None before training starts."""
        self._saving = False
        self._steps_left: int | None = None
        self._asked: list[Asked] = []
        self._calls: list[Callable[[], None]] = []
        self._setup: TrainingSetup | None = None
        self._woken = threading.Condition()

    @property
    def urgent(self) -> bool:
        """Whether the next step has to be reported before further steps are taken."""
        return self.paused or self.stopping or self.finishing or self._saving

    @property
    def paused(self) -> bool:
        """Whether training is paused, or will be after the current step."""
        return self._steps_left is not None

    def stop(self) -> None:
        """Save a checkpoint and stop; the run can be resumed."""
        with self._woken:
            self.stopping = self._saving = True
            self._woken.notify_all()

    def finish(self) -> None:
        """End training now, and evaluate and store the network as it is."""
        with self._woken:
            self.finishing = self._saving = True
            self._woken.notify_all()

    def save(self) -> None:
        """Save a checkpoint after the current step; a paused run is already saved."""
        self._saving = True

    def pause(self, after: int = 0) -> None:
        """Save a checkpoint and wait.

        Args:
            after: The number of steps before the pause.
        """
        with self._woken:
            self._steps_left, self._saving = after, True
            self._woken.notify_all()

    def resume(self) -> None:
        """Continue after a pause."""
        with self._woken:
            self._steps_left = None
            self._woken.notify_all()

    def change(self, field: str, value: Any) -> None:
        """Change a field of the recipe before the next step.

        Args:
            field: A name of `convnet.recipes.changes.changeable_fields`, or its last part.
            value: The new value.

        Raises:
            RecipeError: Training has not started, the field cannot change, or the value is invalid.
        """
        with self._woken:
            if self.recipe is None or self._setup is None:
                raise RecipeError(f"'{field}' cannot be changed yet: training has not started")
            name = full_field(self.recipe, field)
            after = changed(self.recipe, name, value)
            require_applicable(self._setup, after)
            self.recipe = after
            self._asked.append((name, value))
            self._woken.notify_all()

    @property
    def has_requests(self) -> bool:
        """Whether there are changes or calls that were not taken."""
        return bool(self._asked or self._calls)

    def call(self, function: Callable[[], None]) -> None:
        """Call a function in the training thread before the next step, also while training is paused."""
        with self._woken:
            self._calls.append(function)
            self._woken.notify_all()

    def take_save(self) -> bool:
        """Whether a checkpoint was asked for since the last call."""
        asked, self._saving = self._saving, False
        return asked

    def begin(self, setup: TrainingSetup, recipe: Recipe) -> None:
        """Take requests for changes of a training.

        Args:
            setup: The training.
            recipe: Its recipe with the changes so far.
        """
        with self._woken:
            self._setup, self.recipe = setup, recipe

    def take_changes(self) -> list[Asked]:
        """The changes that were asked for since the last call."""
        with self._woken:
            asked, self._asked = self._asked, []
        return asked

    def take_calls(self) -> list[Callable[[], None]]:
        """The functions to call that were given since the last call."""
        with self._woken:
            calls, self._calls = self._calls, []
        return calls

    def wait(self) -> float:
        """Wait while training is paused; returns at once if there is anything to do.

        Returns:
            The seconds waited.
        """
        if self._steps_left is None:
            return 0.0
        began = time.perf_counter()
        if self.before_wait is not None and not self._steps_left:
            self.before_wait()
        with self._woken:
            self._woken.wait_for(self._may_go)
            if self._steps_left and not self.has_requests:
                self._steps_left -= 1
                self._saving = True
        return time.perf_counter() - began

    def _may_go(self) -> bool:
        return self._steps_left != 0 or self.has_requests or self.stopping or self.finishing

    @contextmanager
    def stopped_by_signals(self) -> Iterator[None]:
        """A block in which the first Ctrl-C or SIGTERM asks to stop.

        A second signal acts as usual. Outside the main thread, which alone receives signals, nothing changes.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        signals = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.getsignal(number) for number in signals}

        def ask(_number: int, _frame: FrameType | None) -> None:
            self.stopping = self._saving = True  # without the lock, which this thread may hold
            for number, handler in before.items():
                signal.signal(number, handler)

        for number in signals:
            signal.signal(number, ask)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
