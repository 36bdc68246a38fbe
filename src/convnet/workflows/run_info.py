"""Facts about a run that are known without its network."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from convnet.data import Modality
from convnet.models import takes_any_length
from convnet.prediction import InputSpec
from convnet.recipes import Recipe
from convnet.recipes.load import recipe_of
from convnet.recipes.network import task_of
from convnet.runs import RunFolder
from convnet.tasks import Task
from convnet.types import ImageShape


@dataclass(frozen=True)
class RunInfo:
    """Recipe, task and data of a run folder."""

    folder: RunFolder

    @property
    def path(self) -> Path:
        """The run's folder."""
        return self.folder.path

    @cached_property
    def recipe(self) -> Recipe:
        """The complete recipe."""
        return recipe_of(self.folder)

    @cached_property
    def task(self) -> Task:
        """The task that the network was trained for."""
        return task_of(self.recipe)

    @cached_property
    def data(self) -> dict[str, Any]:
        """Name, classes, image shape and sample counts of the data."""
        return self.folder.data

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the logits."""
        return tuple(self.data["classes"])

    @property
    def shape(self) -> ImageShape:
        """The shape of the network's inputs."""
        return ImageShape(*self.data["shape"])

    @property
    def noun(self) -> str:
        """What samples are called: images, rows, series or recordings."""
        if self.data.get("sample_rate"):
            return "recordings"
        return {"images": "images", "table": "rows", "series": "series"}[self.modality]

    @property
    def modality(self) -> Modality:
        """The kind of samples: "images", "table" or "series"."""
        modality: Modality = self.data["modality"]
        return modality

    @property
    def columns(self) -> tuple[str, ...]:
        """The feature columns of a run on a table; empty otherwise."""
        return tuple(self.data.get("columns", ()))

    @property
    def inputs(self) -> InputSpec:
        """The inputs that the network takes."""
        recipe = self.recipe
        return InputSpec(
            self.modality,
            self.shape,
            recipe.preprocess,
            self.columns,
            recipe.data.label,
            self.data.get("steps"),
            any_length=takes_any_length(recipe.model.name),
            model=recipe.model.name,
            audio=recipe.data.audio or "waveform",  # as earlier versions read recordings
            sample_rate=recipe.data.sample_rate,
        )
