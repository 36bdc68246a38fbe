"""Default recipes for data, tasks and models that have no named recipe."""

from __future__ import annotations

import logging
from typing import Any

from convnet.data import (
    DATASETS,
    Augment,
    Data,
    DatasetInfo,
    DataSpec,
    Preprocess,
    identify_source,
    look_at_spec,
)
from convnet.data.batches.augment.augment import PRESETS
from convnet.data.datasets.named.finders import NamedSet
from convnet.errors import DataError, RecipeError
from convnet.models import MODELS, facts_of, named_model, parse_pipeline, public_weights, transfer_options
from convnet.recipes.components import Component
from convnet.recipes.overrides import override
from convnet.recipes.pretrained import BACKBONE
from convnet.recipes.recipe import Recipe
from convnet.training import Regularizers
from convnet.types import Annotation

logger = logging.getLogger(__name__)

TASK_FOR: dict[Annotation, str] = {
    "class": "classification",
    "labels": "multi-label",
    "mask": "segmentation",
    "pairs": "image-to-image",
    "photos": "denoise",
}
"""The default task for each kind of annotation."""
ANNOTATION_FOR: dict[str | None, Annotation] = {task: annotation for annotation, task in TASK_FOR.items()}
"""The annotation that a task needs; tasks that are not listed make their own from photos."""
SMALL_SIDE = 32
"""Datasets in Python with images up to this size get large batches."""
TRANSFER: dict[str, Any] = {
    "weights": {
        "source": "imagenet",
        "finetune": "auto",
        "last_parts": 3,
        "rate_decay": 0.7,
        "freeze_norms": "auto",
    },
    "augment": PRESETS["light"],
    "optimizer": Component(name="adamw", lr=0.0005),
    "schedule": Component(name="one-cycle"),
    "epochs": 10,
    "batch_size": 32,
    "ema": 0.98,
    "early_stopping": {"patience": 5, "monitor": "score"},
}
"""The fields of fine-tuning."""


def default_recipe(
    data: str | DataSpec,
    model: str | None = None,
    task: str | None = None,
    label: str | None = None,
    *,
    pretrained: bool | None = None,
) -> Recipe:
    """The default recipe for a data set, a folder or a table.

    Photos of one's own: EfficientNet-Lite0 with ImageNet weights. Other images: a small convnet with Adam and
    a one-cycle schedule. Photos are mirrored and shifted; digits and characters, whose meaning a mirror
    changes, are only shifted. For own images this is decided by `settle`. Folders, which hold hundreds of
    images rather than tens of thousands, get small batches. Tables: an MLP with one hidden layer.

    Args:
        data: A path, the name of a data set, or data that is already identified.
        model: A network, a pattern or a pipeline. Default: chosen from the data.
        task: Default: chosen from the data.
        label: The class column of series, or the label column of a table.
        pretrained: Whether to start from ImageNet weights. Default: for photos, if no model is given.
    """
    spec = _spec(data)
    choice = None if model is None else named_model(model)
    if choice is not None and is_baseline(choice["name"]):
        return baseline_recipe(spec, choice, **({"task": task} if task else {}))
    if spec.modality == "series" or ((choice or {}).get("name") == "temporal" and task is None):
        return series_recipe(spec, choice, task, label)
    task = task or TASK_FOR[spec.annotation()]
    if task not in ("classification", "multi-label"):
        return dense_recipe(spec, task, choice)
    if spec.modality == "table":
        return _table_recipe(spec, choice or {"name": "mlp", "hidden": (32,)}, task)
    named = _named(spec)
    if named is None and (pretrained or (pretrained is None and choice is None)):
        look = None if pretrained else look_at_spec(spec, label, multi_label=task == "multi-label")
        if look is not None and look.photos:
            logger.info(
                "%s with ImageNet weights, because the images are color photos (median %s×%s pixels); "
                "--from-scratch trains a small network from random weights",
                BACKBONE,
                look.width,
                look.height,
            )
        if pretrained or (look is not None and look.photos):
            return transfer_recipe(spec, choice or {"name": BACKBONE}, task)
    if named is None:
        augment = PRESETS["light"]
    else:
        augment = Augment(flip=True, pad_crop=4) if named.photos else Augment(shift=2)
    return _recipe(
        spec,
        choice or {"name": "small-convnet"},
        task=task,
        augment=augment,
        optimizer=Component(name="adam", lr=0.003),
        schedule=Component(name="one-cycle"),
        batch_size=128 if named else 32,
    )


def transfer_recipe(spec: DataSpec, model: dict[str, Any], task: str) -> Recipe:
    """The default recipe for photos and a network with public weights: fit the head, then fine-tune the rest.

    The weights determine how images are resized and normalized, but nothing is cut off the shorter side.
    """
    name = model["name"]
    published = public_weights(name)
    recipe = _recipe(spec, {**transfer_options(name), **model}, task=task, **TRANSFER)
    return override(recipe, published.input.fields(whole=True))


def dataset_recipe(info: DatasetInfo, preprocess: Preprocess) -> Recipe:
    """The default recipe for a dataset opened in Python: images with one class each.

    Raises:
        DataError: The dataset is of another kind.
    """
    if info.modality != "images" or not info.target.exclusive:
        raise DataError(f"{info.name}: expected images with one class each")
    large = min(info.shape.height, info.shape.width) > SMALL_SIDE
    return Recipe.from_dict(
        {
            "name": f"{info.name}-small-convnet",
            "data": Data(source=info.name),
            "preprocess": preprocess,
            "model": {"name": "small-convnet"},
            "augment": PRESETS["light"],
            "optimizer": Component(name="adam", lr=0.003),
            "schedule": Component(name="one-cycle"),
            "batch_size": 32 if large else 128,
        }
    )


def series_recipe(
    data: str | DataSpec,
    model: dict[str, Any] | None = None,
    task: str | None = None,
    label: str | None = None,
    **fields: Any,
) -> Recipe:
    """The default recipe for series: dilated convolutions in time, Adam, one-cycle schedule.

    The rows of a table are read as series. If the data has a class per step, the network predicts one.

    Raises:
        DataError: The task does not apply to series with such classes.
    """
    spec = _spec(data)
    series = spec.modality == "table"
    per_step = (spec.as_series() if series else spec).annotation(label) == "mask"
    only = TASK_FOR["mask" if per_step else "class"]
    if task not in (None, only):
        per = "step" if per_step else "series"
        raise DataError(
            f"{spec.source}: holds series with one class per {per}; use --task {only}, not {task}"
        )
    chosen: dict[str, Any] = {
        "task": only,
        "data": Data(source=spec.source, series=series, label=label),
        "optimizer": Component(name="adam", lr=0.001),
        "schedule": Component(name="one-cycle"),
        "epochs": 100,
        "batch_size": 16,
    }
    model = model or {"name": "temporal"}
    if per_step and model["name"] == "temporal":
        model = {**model, "per_step": True}
    return _recipe(spec, model, **{**chosen, **fields})


def dense_recipe(
    data: str | DataSpec, task: str, model: dict[str, Any] | None = None, **fields: Any
) -> Recipe:
    """The default recipe for masks and for image-to-image tasks: a small U-Net.

    Photos are cropped, small images are used whole. For image-to-image tasks the network predicts the
    difference from its input (residual); `reconstruct` uses an autoencoder.
    """
    masks = task == "segmentation"
    spec = _spec(data)
    named = _named(spec)
    small = named is not None and not named.large
    many = named is not None and bool(named.files)
    photos = named is None or named.photos
    chosen: dict[str, Any] = {
        "task": task,
        "preprocess": Preprocess(normalize="channel" if masks else "range"),
        "augment": Augment(flip=photos) if small else Augment(crop="auto", crops=8, flip=True),
        "optimizer": Component(name="adam", lr=0.001),
        "schedule": Component(name="one-cycle"),
        "epochs": 10 if many else 30 if small else 50,
        "batch_size": 128 if many else 16 if small else 8,
    }
    network: dict[str, Any] = {"name": "unet", "width": 16, "depth": 2 if small else 4}
    if task == "reconstruct":
        network = {"name": "conv-autoencoder"}
        chosen["augment"] = Augment()
        if not small:
            chosen["preprocess"] = Preprocess(normalize="range", image_size=64)
    elif not masks:
        network |= {"residual": True, "depth": 2 if small else 3}
    return _recipe(spec, model or network, suffix=f"-{task}", **{**chosen, **fields})


def is_baseline(model: str) -> bool:
    """Whether a network, a pattern or a pipeline is a baseline."""
    facts = facts_of(named_model(model)["name"])
    return facts is not None and facts.baseline


def baseline_recipe(data: str | DataSpec, model: dict[str, Any], **fields: Any) -> Recipe:
    """The default recipe for a model without convolutions, without augmentation.

    k-NN and features take pixels divided by 255; trained models take standardized inputs and use Adam with a
    cosine schedule. The columns of a table are standardized for k-NN and unchanged for features. The
    perceptron is trained by its own rule.
    """
    name = model["name"]
    if name == "pipeline" and "stages" not in model:
        raise RecipeError("model 'pipeline' has no stages; write them as text, e.g. --model 'hog -> linear'")
    last = parse_pipeline(model["stages"]).classifier.name if name == "pipeline" else name
    spec = _spec(data)
    named = _named(spec)
    table = spec.modality != "images"
    small = named is None or not named.files
    if name == "pipeline":
        normalize = "none" if table else "range"
    else:
        normalize = "range" if name == "knn" and not table else "channel"
    chosen: dict[str, Any] = {"preprocess": Preprocess(normalize=normalize)}
    if MODELS.facts(last).fitted:
        chosen["epochs"] = 0
    elif last == "perceptron":
        chosen |= {"loss": "perceptron", "optimizer": Component(name="sgd", lr=0.01), "batch_size": 1}
        chosen |= {"epochs": 10 if small else 2, "ema": 0.999}
    else:
        rate = 0.01 if table else 0.003 if small else 0.001
        chosen |= {"optimizer": Component(name="adam", lr=rate), "schedule": "cosine"}
        if table:  # few rows
            chosen["regularizers"] = Regularizers(l2=0.01)
        elif name == "pipeline":  # thousands of features, some without information
            chosen["regularizers"] = Regularizers(l2=0.001)
        chosen |= {"epochs": 100 if table else 30 if small else 20}
        chosen |= {"batch_size": 16 if table else 32 if small else 128}
    return _recipe(spec, model, precision="fp32", **{**chosen, **fields})


def _table_recipe(spec: DataSpec, model: dict[str, Any], task: str) -> Recipe:
    return _recipe(
        spec,
        model,
        task=task,
        optimizer=Component(name="adam", lr=0.01),
        schedule=Component(name="cosine"),
        regularizers=Regularizers(l2=0.01),
        epochs=100,
        batch_size=16,
        precision="fp32",
    )


def _recipe(spec: DataSpec, model: dict[str, Any], suffix: str = "", **fields: Any) -> Recipe:
    """A recipe named after the data, the task and the model."""
    label = parse_pipeline(model["stages"]).label if model["name"] == "pipeline" else model["name"]
    name = f"{spec.stem}{suffix}-{label.replace(':', '.')}"
    return Recipe.from_dict({"name": name, "data": Data(source=spec.source), "model": model, **fields})


def _spec(data: str | DataSpec) -> DataSpec:
    return identify_source(data) if isinstance(data, str) else data


def _named(spec: DataSpec) -> NamedSet | None:
    return DATASETS[spec.source] if spec.named else None
