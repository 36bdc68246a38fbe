"""`Recipe`: the typed document that describes a run completely."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import yaml
from annotated_types import Gt, Lt
from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticSerializationError

from convnet.data import Augment, Data, Preprocess, SplitOptions
from convnet.data.batches.augment.augment import AUGMENTATIONS, PRESETS
from convnet.device import Precision
from convnet.errors import RecipeError
from convnet.models import MODELS
from convnet.recipes.applicable import require_fitting_task, require_fitting_weights, require_no_steps
from convnet.recipes.balance import Balance
from convnet.recipes.components import Component, as_component, with_current_options
from convnet.recipes.weights import Weights
from convnet.registry import Count, CountOrZero, Positive, Registry, Section, shown, validate
from convnet.tasks import TASKS
from convnet.tasks.own_metrics import METRICS
from convnet.training import LOSSES, OPTIMIZERS, SCHEDULES, Regularizers


class EarlyStopping(Section):
    """Stop after `patience` epochs without a better one and restore the best.

    Attributes:
        patience: The number of epochs.
        monitor: What makes an epoch better on the validation split: a lower "loss", or a higher "score", the
            metric of the task; among equal scores, a lower loss.
    """

    patience: Count = 5
    monitor: Literal["loss", "score"] = "loss"


class Recipe(Section):
    """A complete, frozen description of a run.

    Unknown or inapplicable fields are errors. A stored recipe holds every option with its value, so the file
    alone reproduces the run.

    Attributes:
        name: The name of the run folder.
        data: The data and how it is read.
        task: What is predicted.
        split: Fractions, folds and seed of the split.
        preprocess: Decoding, resizing and normalization.
        augment: Random changes of the training images.
        model: The network.
        weights: Pretrained weights.
        loss: Default: the task's.
        balance: How rare classes are treated.
        regularizers: L1, L2 and max-norm.
        optimizer: The optimizer.
        decay_biases: Whether weight decay also acts on biases and norms.
        schedule: The learning-rate schedule.
        epochs: Passes over the training samples; 0 for models that are fitted in one pass.
        batch_size: Samples per step.
        metrics: Functions of outputs and targets (`package.module:function`) by the names of their values.
        clip_norm: The largest norm of the gradient.
        ema: The decay of the running average of the weights that is evaluated in their place.
        early_stopping: When to stop before the last epoch.
        minutes: The time limit of the whole run; it shortens `epochs`, and the best epoch is kept.
        precision: "auto", "fp32" or "bf16".
        seed: The seed of weights, order, augmentation and dropout.
    """

    name: str
    data: Data
    task: Component = Component(name="classification")
    split: SplitOptions = SplitOptions()
    preprocess: Preprocess = Preprocess()
    augment: Augment = Augment()
    model: Component
    weights: Weights | None = None
    loss: Component = Component(name="cross-entropy")
    metrics: dict[str, str] = Field({}, description="functions of outputs and targets, by name")
    balance: Balance = "none"
    regularizers: Regularizers = Regularizers()
    optimizer: Component = Component(name="adam")
    decay_biases: bool = Field(False, description="whether weight decay also acts on biases and norms")
    schedule: Component = Component(name="constant")
    epochs: CountOrZero = 10
    batch_size: Count = 128
    clip_norm: Positive | None = None
    ema: Annotated[float, Gt(0), Lt(1)] | None = None
    early_stopping: EarlyStopping | None = None
    minutes: Positive | None = None
    precision: Precision = "auto"
    seed: CountOrZero = 0

    registries: ClassVar[Mapping[str, Registry[Any, Any]]] = {
        "task": TASKS,
        "model": MODELS,
        "loss": LOSSES,
        "optimizer": OPTIMIZERS,
        "schedule": SCHEDULES,
    }

    @model_validator(mode="before")
    @classmethod
    def _default_loss(cls, content: Any) -> Any:
        """Use the task's loss if none is given."""
        if not isinstance(content, dict) or content.get("loss") is not None:
            return content
        task = content.get("task") or "classification"
        chosen = dict(task) if isinstance(task, Mapping) else {"name": task}
        if isinstance(task, Component):
            chosen = {"name": task.name, **task.options}
        name = chosen.pop("name", None)
        return content | {"loss": TASKS.build(name, **chosen).loss} if name in TASKS else content

    @field_validator("task", "model", "loss", "optimizer", "schedule", mode="before")
    @classmethod
    def _name_alone(cls, value: object, info: ValidationInfo) -> object:
        """`optimizer: adam` is `optimizer: {name: adam}`."""
        if not isinstance(value, str | dict | Component):
            raise RecipeError(
                f"{info.field_name}: expected a name, or a name and options, got {shown(value)}"
            )
        return as_component(str(info.field_name), value) if isinstance(value, str) else value

    @field_validator("augment", mode="before")
    @classmethod
    def _preset(cls, value: object) -> object:
        """`augment: light` is the augmentation of that name."""
        if not isinstance(value, str):
            return value
        if value not in PRESETS:
            raise RecipeError(f"augment: expected fields, or one of {', '.join(PRESETS)}, got {shown(value)}")
        return PRESETS[value]

    @field_validator("task", "model", "loss", "optimizer", "schedule", mode="after")
    @classmethod
    def _complete(cls, choice: Component, info: ValidationInfo) -> Component:
        """Check the options against the builder's signature and fill in the defaults."""
        registry = cls.registries[str(info.field_name)]
        return Component(name=choice.name, **registry.options(choice.name, choice.options))

    @field_validator("metrics", mode="after")
    @classmethod
    def _importable(cls, metrics: dict[str, str]) -> dict[str, str]:
        """Check that metrics exist and that their names are free."""
        for name, function in metrics.items():
            _ = METRICS[function]
            if not name.isidentifier() or name in ("loss", "samples", "accuracy", "balanced_accuracy"):
                raise RecipeError(f"metrics: '{name}' is taken or no plain name; use another")
        return metrics

    @model_validator(mode="after")
    def _applicable(self) -> Recipe:
        """Refuse fields that would have no effect."""
        if not self.epochs:
            require_no_steps(self)
        if self.augment.custom is not None:
            _ = AUGMENTATIONS[self.augment.custom]
        require_fitting_task(self)
        require_fitting_weights(self)
        decay = self.optimizer.options.get("weight_decay", 0)
        if self.decay_biases and not decay:
            raise RecipeError("decay_biases=true does not apply: optimizer.weight_decay is 0")
        if self.regularizers.biases and not (self.regularizers.l1 or self.regularizers.l2):
            raise RecipeError("regularizers.biases=true does not apply: l1 and l2 are 0")
        if self.augment.crops > 1 and not self.augment.crop:
            raise RecipeError("augment.crops does not apply: augment.crop is 0; add --set augment.crops=1")
        shifted = self.augment.shift not in (0, "auto")
        if shifted and self.augment.pad_crop:
            raise RecipeError("augment.shift and augment.pad_crop both move the image; use one")
        if self.augment.resized_to and self.augment.random_resized_crop is None:
            raise RecipeError(
                "augment.resized_to does not apply without augment.random_resized_crop; add --set "
                "augment.random_resized_crop=0.35"
            )
        resized = self.augment.random_resized_crop not in (None, "auto")
        if resized and (shifted or self.augment.pad_crop):
            raise RecipeError(
                "augment.random_resized_crop already moves the image; drop shift and pad_crop, or add --set "
                "augment.random_resized_crop=null"
            )
        return self

    @classmethod
    def from_dict(cls, content: Any, where: str = "") -> Recipe:
        """Build a recipe from nested dictionaries, e.g. parsed YAML.

        Args:
            content: The fields of the recipe.
            where: The source of the content, for error messages.

        Returns:
            The recipe.

        Raises:
            RecipeError: A field is unknown, missing or invalid; the message suggests the nearest name.
            UnknownNameError: A component is not registered.
        """
        content = with_current_options(content)
        if not isinstance(content, dict):
            raise RecipeError(f"{where or 'recipe'}: expected named fields, got {type(content).__name__}")
        return validate(cls, content, where="")

    @classmethod
    def from_yaml(cls, text: str, where: str = "recipe") -> Recipe:
        """Parse YAML text.

        Args:
            text: The text.
            where: The source of the text, for error messages.

        Returns:
            The recipe.

        Raises:
            RecipeError: The text is not YAML or not a recipe; the message begins with `where`.
        """
        try:
            content = yaml.safe_load(text)
        except (yaml.YAMLError, RecursionError) as error:
            raise RecipeError(f"{where}: not YAML: {' '.join(str(error).split())}") from error
        return cls.from_dict(content, where)

    @classmethod
    def from_file(cls, path: Path) -> Recipe:
        """Read a YAML file.

        Args:
            path: The file.

        Returns:
            The recipe.

        Raises:
            RecipeError: The file cannot be read or is not a recipe.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(f"{path}: cannot be read: {error}") from error
        try:
            return cls.from_yaml(text, str(path))
        except RecipeError as error:
            prefix = "" if str(path) in str(error) else f"{path}: "
            raise type(error)(f"{prefix}{error}") from error

    def to_dict(self) -> dict[str, Any]:
        """The recipe as nested dictionaries, lists and plain values.

        Returns:
            All fields, including defaults.

        Raises:
            RecipeError: An option of the user's own network is not a plain value.
        """
        try:
            return self.model_dump(mode="json")
        except PydanticSerializationError as error:
            raise RecipeError(f"{self.name}: an option has a value that cannot be stored: {error}") from None

    def to_yaml(self) -> str:
        """The recipe as YAML.

        Returns:
            Text that `from_yaml` reads back to an equal recipe.
        """
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)
