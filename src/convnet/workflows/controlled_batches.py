"""`ControlledBatches`: the batches of a training, between which requests take effect."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

from convnet.errors import ConvnetError
from convnet.recipes import Recipe, TrainingSetup
from convnet.recipes.changes import apply_change, changed, require_applicable
from convnet.runs import Change, RunFolder, write_changes
from convnet.types import Batch
from convnet.workflows.control import Control

logger = logging.getLogger(__name__)


class ControlledBatches:
    """The batches of a training; between them, requests take effect and recorded changes are made again.

    Args:
        folder: The run folder, whose `events.csv` has the changes.
        setup: The training, where it starts or resumes.
        control: The requests.
    """

    def __init__(self, folder: RunFolder, setup: TrainingSetup, control: Control) -> None:
        self.setup, self.control = setup, control
        self.log, self.changes = folder.file("events.csv"), folder.changes
        step = setup.training.progress.step
        self.done = sum(change.step < step for change in self.changes)
        self.recipe = changed_recipe(setup.recipe, self.changes[: self.done])
        control.begin(setup, self.recipe)

    @property
    def steps(self) -> int:
        """The number of batches of the current epoch."""
        return self.setup.batches.steps

    def epoch(self, epoch: int = 0, first: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, starting at index `first`."""
        batches = self.setup.batches.epoch(epoch, first)
        self._before_step()
        for batch in batches:
            yield batch
            # At the end of an epoch, requests wait until after validation and the checkpoint.
            if self.setup.training.progress.step_in_epoch < self.steps:
                self._before_step()

    def _before_step(self) -> None:
        """Make the changes and calls that are due, and wait while training is paused."""
        self._repeat()
        while True:
            for field, value in self.control.take_changes():
                self._make(field, value)
            for call in self.control.take_calls():
                call()
            self.setup.training.idle_seconds += self.control.wait()
            if not self.control.has_requests:
                break
        self.setup.training.reports_at_once = self.control.urgent

    def _repeat(self) -> None:
        """Make the recorded changes of this step."""
        step = self.setup.training.progress.step
        while self.done < len(self.changes) and self.changes[self.done].step <= step:
            self._take_effect(self.changes[self.done])
            self.control.begin(self.setup, self.recipe)

    def _make(self, field: str, value: Any) -> None:
        """Record a change, and make it."""
        change = Change(self.setup.training.progress.step, field, value)
        try:
            require_applicable(self.setup, changed(self.recipe, field, value))
        except ConvnetError as error:  # it was valid before another change
            logger.warning("%s", error)
            return
        self.changes.insert(self.done, change)
        write_changes(self.log, self.changes)
        self._take_effect(change)

    def _take_effect(self, change: Change) -> None:
        after = changed(self.recipe, change.field, change.value)
        apply_change(self.setup, self.recipe, after, change.step)
        self.recipe = after
        self.done += 1
        logger.info("%s", change)
        if self.control.told is not None:
            self.control.told(change)


def changed_recipe(recipe: Recipe, changes: Sequence[Change]) -> Recipe:
    """A recipe after changes during training.

    Raises:
        RecipeError: A field cannot change, or a value is invalid.
    """
    for change in changes:
        recipe = changed(recipe, change.field, change.value)
    return recipe
