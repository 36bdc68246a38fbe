"""The content of the JSON files of a run, validated when they are read."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Len
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from convnet.errors import RunError

SPLITS = ("train", "val", "test")
WAY_OUT = "restore the file, or train the run again from its recipe.yaml"
"""What to do about a damaged file of a run."""
Size = Annotated[int, Ge(1), Le(1 << 24)]
CountOrZero = Annotated[int, Ge(0)]


class Document(BaseModel):
    """A JSON file; unknown fields are kept, NaN is refused."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)


class Samples(Document):
    """The number of samples of each split."""

    train: CountOrZero
    val: CountOrZero
    test: CountOrZero


class DataFile(Document):
    """The content of data.json: the facts about the data that prediction and reports need."""

    name: str
    target: str = "class"
    modality: Literal["images", "table", "series"] = "images"
    classes: list[str]
    shape: Annotated[list[Size], Len(3, 3)]
    outputs: Size | None = None
    samples: Samples
    per_class: list[CountOrZero] = []
    columns: list[str] = []
    steps: Size | None = None
    sample_rate: Size | None = None
    unreadable: list[str] = []
    warnings: list[str] = []
    excluded: dict[str, str] = {}
    mask_values: list[int] = []
    opened: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> DataFile:
        if self.mask_values and len(self.mask_values) != len(self.classes):
            raise ValueError("mask_values does not have one value per class")
        if self.per_class and len(self.per_class) != len(self.classes):
            raise ValueError("per_class does not have one number per class")
        return self


class EnvironmentFile(Document):
    """The content of environment.json: the machine and the settings of a run."""

    versions: dict[str, str] = {}
    platform: str = "unknown"
    device: str | None = None
    device_name: str = "unknown"
    data_dir: str | None = None
    threads: Annotated[int, Ge(1)] | None = None
    keep_checkpoints: bool = True


class SplitFigures(Document):
    """The figures of a split: a number for each metric, or one for each class."""

    __pydantic_extra__: dict[str, float | dict[str, float | None] | None]
    loss: float | None = None
    samples: CountOrZero | None = None


class HeadFigures(Document):
    """The figures of a network whose head alone was fitted, before all of it was fine-tuned."""

    val: SplitFigures | None = None
    test: SplitFigures | None = None
    seconds: Annotated[float, Ge(0)] = 0.0
    kept: bool = False


class UnknownFigures(Document):
    """The rule by which unknown samples are recognized."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    score: Literal["negative-energy", "max-probability"]
    threshold: float
    coverage: Annotated[float, Ge(0), Le(1)]
    auroc: dict[str, float] | None = None


class CalibrationFigures(Document):
    """The calibration of class probabilities."""

    temperature: Annotated[float, Gt(0)]
    samples: CountOrZero
    unknown: UnknownFigures | None = None


class DiagnosisEntry(Document):
    """A finding about the training."""

    kind: str
    text: str
    value: float


class ResultFile(Document):
    """The content of result.json: the final figures of a run."""

    run: str = ""
    recipe: str = ""
    task: str = "classification"
    data: str = ""
    model: str = ""
    epochs: CountOrZero = 0
    best_epoch: CountOrZero | None = None
    train: SplitFigures | None = None
    val: SplitFigures | None = None
    test: SplitFigures | None = None
    seconds: Annotated[float, Ge(0)] = 0.0
    images_per_second: Annotated[float, Ge(0)] | None = None
    parameters: CountOrZero = 0
    thresholds: dict[str, float] = {}
    head: HeadFigures | None = None
    calibration: CalibrationFigures | None = None
    diagnosis: list[DiagnosisEntry] = []
    device: str = "cpu"
    precision: str = "fp32"


def validated(document: type[Document], content: dict[str, Any], where: str) -> dict[str, Any]:
    """Check the content of a file of a run.

    Args:
        document: What it should hold.
        content: What it holds.
        where: The file.

    Returns:
        The content, with defaults for fields that earlier versions did not write.

    Raises:
        RunError: A field is missing or has another type; the message names it.
    """
    try:
        found = document.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise RunError(
            f"{where}: damaged: {field + ': ' if field else ''}{first['msg'].lower()}; {WAY_OUT}"
        ) from None
    values = found.model_dump()
    always = {*content, *SPLITS}
    return {key: value for key, value in values.items() if key in always or value is not None}
