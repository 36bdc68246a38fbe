"""`Manifest`: the content of bundle.json, and its schema."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Len
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from convnet.data.files.recordings import Audio
from convnet.data.images.preprocess import Preprocess
from convnet.errors import ConvnetError, ModelError
from convnet.outputs import IMAGE_TASKS, KINDS, UNCALIBRATED, Calibration, Labels, OutputKind
from convnet.prediction.inputs import InputSpec
from convnet.types import ImageShape, Modality

SCHEMA = 1
"""The version of the schema; a version of convnet reads the versions up to its own."""
FILE_NAME = r"^(record/)?\w[\w.-]*$"
"""Files of a bundle lie in its folder, or in its subfolder `record`."""

SERVED_NAME = r"^[^/]+$"
"""Name and version are parts of the addresses of a server."""

Size = Annotated[int, Ge(1), Le(1 << 24)]


class Entry(BaseModel):
    """A part of the manifest; unknown fields and numbers that are not finite are refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)


class Component(Entry):
    """The name of a registered network or task, and its options."""

    name: Annotated[str, Len(1)]
    options: dict[str, Any] = {}


class Inputs(Entry):
    """The samples that the network takes."""

    modality: Modality
    shape: Annotated[list[Size], Len(3, 3)]
    preprocess: Preprocess
    columns: list[str] = []
    label: str | None = None
    steps: Size | None = None
    any_length: bool = True
    audio: Audio = "log-mel"
    sample_rate: Size | None = None

    @property
    def dtype(self) -> Literal["uint8", "float32"]:
        """The type of the numbers that the network takes."""
        return "uint8" if self.modality == "images" else "float32"


class Unknown(Entry):
    """The rule by which samples are called unknown."""

    score: Literal["negative-energy", "max-probability"]
    threshold: float
    coverage: Annotated[float, Ge(0), Le(1)]
    auroc: dict[str, float] | None = None


class CalibrationEntry(Entry):
    """The calibration of class probabilities."""

    temperature: Annotated[float, Gt(0)]
    unknown: Unknown | None = None
    samples: Annotated[int, Ge(0)] = 0


class Outputs(Entry):
    """The outputs of the network and their names."""

    count: Size
    classes: list[str]
    thresholds: dict[str, float] = {}
    colors: dict[str, str] = {}
    mask_values: list[int] = []
    calibration: CalibrationEntry | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Outputs:
        if self.mask_values and len(self.mask_values) != len(self.classes):
            raise ValueError("mask_values does not have one value per class")
        if unknown := self.thresholds.keys() - set(self.classes):
            raise ValueError(f"thresholds has '{min(unknown)}', which is no class")
        return self


class SizesEntry(Entry):
    """The image sizes that a network with an output per position takes; see `convnet.layers.Sizes`."""

    multiple: Size = 1
    remainder: Annotated[int, Ge(0)] = 0
    shrink: Annotated[int, Ge(0)] = 0
    context: Annotated[int, Ge(0)] | None = None
    fixed: Annotated[list[Size], Len(2, 2)] | None = None
    enlarged: bool = False
    """Whether images are enlarged (super-resolution) before they are passed to the exported models."""


class Parity(Entry):
    """The comparison of an exported model with the network in PyTorch.

    Attributes:
        images: The number of samples compared.
        top1_equal: The number of samples with the same most probable class; None where there are no classes.
        max_difference: The largest difference of an output.
    """

    images: Annotated[int, Ge(0)]
    top1_equal: Annotated[int, Ge(0)] | None
    max_difference: Annotated[float, Ge(0)]


class Quantized(Entry):
    """The cost of int8 arithmetic, measured on held-out samples, and its gain.

    Attributes:
        samples: The number of samples.
        score: The main metric.
        fp32: Its value before.
        int8: Its value after.
        smaller: How many times as small the model is.
        faster: How many times as fast one sample was computed by ONNX Runtime on the machine of the export.
    """

    samples: Annotated[int, Ge(1)]
    score: str
    fp32: float
    int8: float
    smaller: Annotated[float, Gt(0)] | None = None
    faster: Annotated[float, Gt(0)] | None = None


class Format(Entry):
    """An exported model.

    Attributes:
        opset: The opset of an ONNX model.
        dynamic: The axes of the input whose length may vary.
        parity: The comparison with the network in PyTorch; None for int8.
        quantized: The cost of int8; None for others.
    """

    opset: int | None = None
    dynamic: list[str] = ["batch"]
    parity: Parity | None = None
    quantized: Quantized | None = None


class Manifest(Entry):
    """The content of bundle.json.

    Attributes:
        schema_version: The version of the schema.
        name: The name of the model.
        version: The version of the model: the first 12 digits of the checksum of its weights, or the user's.
        convnet: The version of convnet that wrote the bundle.
        created: When it was written, ISO 8601 in UTC.
        task: The task.
        network: The network; None if it is stored as an ONNX model only.
        inputs: The samples that it takes.
        outputs: Its outputs.
        sizes: The sizes that it takes, for networks with an output per position.
        parameters: The number of parameters.
        files: The names of all other files.
        formats: The exported models by file name.
        metrics: The figures of training by split.
        license: The license of the weights.
    """

    schema_version: Annotated[int, Ge(1)] = Field(alias="schema")
    name: Annotated[str, Field(pattern=SERVED_NAME)]
    version: Annotated[str, Field(pattern=SERVED_NAME)]
    convnet: str
    created: str
    task: Component
    network: Component | None
    inputs: Inputs
    outputs: Outputs
    sizes: SizesEntry | None = None
    parameters: Annotated[int, Ge(0)] = 0
    files: list[Annotated[str, Field(pattern=FILE_NAME)]]
    formats: dict[Annotated[str, Field(pattern=FILE_NAME)], Format] = {}
    metrics: dict[str, Any] = {}
    license: str | None = None

    @model_validator(mode="after")
    def _known_task(self) -> Manifest:
        if self.task.name not in KINDS:
            raise ValueError(f"task '{self.task.name}' is not known (known: {', '.join(KINDS)})")
        out = self.outputs
        if self.task.name not in IMAGE_TASKS and out.count != len(out.classes):
            raise ValueError(f"outputs: {out.count} outputs for {len(out.classes)} classes")
        return self

    @property
    def kind(self) -> OutputKind:
        """How outputs are turned into predictions."""
        return KINDS[self.task.name]

    @property
    def shape(self) -> ImageShape:
        """C×H×W of the training samples."""
        return ImageShape(*self.inputs.shape)

    def input_spec(self) -> InputSpec:
        """How files are read."""
        given = self.inputs
        return InputSpec(
            given.modality,
            self.shape,
            given.preprocess,
            tuple(given.columns),
            given.label,
            given.steps,
            given.any_length,
            self.network.name if self.network else self.name,
            given.audio,
            given.sample_rate,
        )

    def labels(self) -> Labels:
        """The names, thresholds and colors of the outputs."""
        out = self.outputs
        calibration = out.calibration
        return Labels(
            tuple(out.classes),
            out.thresholds,
            out.colors,
            tuple(out.mask_values),
            self.inputs.modality == "series",
            UNCALIBRATED if calibration is None else Calibration.from_dict(calibration.model_dump()),
        )


def parse_manifest(content: Any, where: str) -> Manifest:
    """Validate the content of bundle.json.

    Args:
        content: The parsed JSON.
        where: The file, for messages.

    Raises:
        ModelError: It is of a newer schema, or invalid.
    """
    found = content.get("schema") if isinstance(content, dict) else None
    if isinstance(found, int) and found > SCHEMA:
        raise ModelError(
            f"{where}: the bundle has schema {found}, and this version of convnet reads schemas up to "
            f"{SCHEMA}; install the version that wrote it, or a newer one"
        )
    try:
        return Manifest.model_validate(content)
    except (ValidationError, ConvnetError) as error:
        raise ModelError(f"{where}: damaged: {_first(error)}; copy the bundle again") from None


def _first(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    finding = error.errors(include_url=False)[0]
    place = ".".join(map(str, finding["loc"]))
    return f"{place + ': ' if place else ''}{finding['msg'].removeprefix('Value error, ')}"
