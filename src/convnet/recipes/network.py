"""Build the network of a recipe and check that it can be trained."""

from __future__ import annotations

import copy
import logging

import torch
from torch import Tensor, nn

from convnet.data import Augment, Dataset, Split, all_images, pixel_statistics
from convnet.device import derived_seed
from convnet.errors import ModelError, RecipeError
from convnet.features import Features
from convnet.layers import Fitted, Network, Normalize, sizes_of
from convnet.meta import MetaMode, on_meta, on_shapes
from convnet.models import MODELS, assemble, build_model, parse_pipeline, takes_any_length
from convnet.recipes.components import Component
from convnet.recipes.recipe import Recipe
from convnet.recipes.weights import load_pretrained
from convnet.tasks import TASKS, Task
from convnet.types import AuxiliaryLogits, ImageShape

logger = logging.getLogger(__name__)


def task_of(recipe: Recipe) -> Task:
    """The task that the recipe names."""
    task: Task = TASKS.build(recipe.task.name, **recipe.task.options)
    return task


def build_network(
    recipe: Recipe,
    dataset: Dataset,
    split: Split,
    *,
    load: bool = True,
) -> Network:
    """Build normalization (with the statistics of the training split) followed by the recipe's network.

    Args:
        recipe: The recipe.
        dataset: Its data.
        split: Its split.
        load: Whether to load pretrained weights.

    Returns:
        The untrained network: pixels → outputs.

    Raises:
        ModelError: The network does not fit the images or the task.
        RecipeError: The recipe asks for steps that the network cannot make, or for none where it needs them.
    """
    _require_sensible_augmentation(recipe, dataset)
    _require_modality(recipe, dataset)
    shape = network_shape(recipe, dataset)
    mean, std = pixel_statistics(dataset, split.train, recipe.preprocess.normalize)
    outputs = task_of(recipe).outputs(dataset)
    with torch.random.fork_rng():
        torch.manual_seed(derived_seed(recipe.seed, "weights"))
        network = build_model(recipe.model.name, shape, outputs, **recipe.model.options)
    model = assemble(Normalize(mean, std), network)
    _require_outputs(model, recipe, shape, outputs)
    _require_training_size(model, recipe, shape)
    weights = recipe.loss.options.get("class_weights")
    if weights is not None and len(weights) != outputs:
        raise RecipeError(
            f"loss.class_weights has {len(weights)} numbers for {outputs} classes; give one per class"
        )
    _require_learning(model, recipe, dataset, split)
    if recipe.weights is not None and load:
        logger.info(
            "%s", load_pretrained(model, recipe.model.name, recipe.weights, encoder=encoder_of(recipe))
        )
    return model


def encoder_of(recipe: Recipe) -> str | None:
    """The classifier that is the encoder of the recipe's network; None if it has none."""
    encoder = recipe.model.options.get("encoder")
    return encoder if isinstance(encoder, str) else None


def network_shape(recipe: Recipe, dataset: Dataset) -> ImageShape:
    """The shape of the training images: crops or whole images.

    Raises:
        RecipeError: The images differ in size and are neither cropped nor resized.
    """
    channels = dataset.info.shape.channels
    crop, smallest = recipe.augment.crop, smallest_side(dataset)
    assert crop != "auto", "the recipe is settled"
    if crop:
        if crop > smallest:
            raise RecipeError(
                f"augment.crop={crop} is larger than the smallest image of {dataset.info.name} ({smallest} "
                "pixels a side); use --set augment.crop=auto"
            )
        return ImageShape(channels, crop, crop)
    if dataset.info.sizes is not None:
        raise RecipeError(
            f"{dataset.info.name}: the images have different sizes and cannot be batched; crop them "
            "(--set augment.crop=auto) or resize them (--set preprocess.image_size=128)"
        )
    return dataset.info.shape


def smallest_side(dataset: Dataset) -> int:
    """The shortest side of any image."""
    sizes = dataset.info.sizes
    return min(dataset.info.shape[1:]) if sizes is None else int(sizes.min())


def _require_learning(model: nn.Sequential, recipe: Recipe, dataset: Dataset, split: Split) -> None:
    """Refuse training without effect, models that need steps but get none, and too few samples."""
    name, trainable = recipe.model.name, any(p.requires_grad for p in model.parameters())
    headed = recipe.weights is not None and recipe.weights.finetune == "head"
    if trainable and not recipe.epochs and not headed:
        raise RecipeError(f"epochs=0 would leave the weights of {name} untrained; use at least 1")
    if not trainable and recipe.epochs:
        raise RecipeError(
            f"epochs={recipe.epochs} does not apply: model '{name}' is fitted in one pass; use epochs=0"
        )
    numbers = dataset.info.modality != "images"
    wanted = "none" if numbers else "range"
    if any(isinstance(stage, Features) for stage in model) and recipe.preprocess.normalize != wanted:
        raise RecipeError(
            f"preprocess.normalize={recipe.preprocess.normalize} does not apply: features take "
            f"{'unchanged numbers' if numbers else 'pixels in the range 0…1'}; "
            f"use --set preprocess.normalize={wanted}"
        )
    if (
        dataset.info.modality == "series"
        and all_images(dataset).isnan().any()
        and not _masks_padding(recipe.model)
    ):
        raise RecipeError(
            f"{dataset.info.name}: the series have different lengths, which '{name}' cannot take; only "
            "convnet train with its default network (temporal) does"
        )
    for module in model.modules():
        if isinstance(module, Fitted):
            module.require_samples(len(split.train), len(split.val))


def _masks_padding(model: Component) -> bool:
    """Whether the model masks the padding of series; assumed of a user's own model."""
    if model.name == "pipeline":
        return all(feature.name == "encoder" for feature in parse_pipeline(model.options["stages"]).features)
    return takes_any_length(model.name)


def _require_modality(recipe: Recipe, dataset: Dataset) -> None:
    """Refuse networks for images if the samples are rows or series."""
    name, modality = recipe.model.name, dataset.info.modality
    named = name in MODELS and name != "pipeline"
    if modality == "images" or not named or MODELS.facts(name).smallest_for() == 1:
        return
    fitting = "temporal" if modality == "series" else "mlp"
    raise ModelError(
        f"model '{name}' takes images, and {dataset.info.name} holds "
        f"{'rows of numbers' if modality == 'table' else modality}; use --model {fitting}"
    )


def _require_sensible_augmentation(recipe: Recipe, dataset: Dataset) -> None:
    """Refuse augmentation that does not apply or would leave nothing of an image."""
    if dataset.info.modality != "images" and recipe.augment != Augment():
        what = "a table of numbers" if dataset.info.modality == "table" else "series of numbers"
        raise RecipeError(f"augment does not apply: {dataset.info.name} is {what}, not of images")
    if recipe.augment.crop and not task_of(recipe).target.dense:
        raise RecipeError(
            "augment.crop is for segmentation and image-to-image tasks; for classification use "
            "augment.pad_crop, augment.shift or augment.random_resized_crop"
        )
    for name in ("saturation", "hue"):
        if getattr(recipe.augment, name) and dataset.info.shape.channels != 3:
            raise RecipeError(f"augment.{name} does not apply: {dataset.info.shape} images have no color")
    side = min(dataset.info.shape.height, dataset.info.shape.width)
    for name in ("shift", "pad_crop", "cutout"):
        if getattr(recipe.augment, name) >= max(side, 2):
            raise RecipeError(
                f"augment.{name}={getattr(recipe.augment, name)} is too large for {dataset.info.shape} "
                f"images; use less than {side}"
            )


def _require_outputs(model: Network, recipe: Recipe, shape: ImageShape, outputs: int) -> None:
    """Run a few images through a network whose outputs are not known: a user's own, or a dense one."""
    name, task = recipe.model.name, task_of(recipe)
    if name in MODELS and MODELS.facts(name).targets == ("class",):
        return
    height, width = shape.height, shape.width
    sizes = sizes_of(model)
    for side in (height, width):
        larger = sizes.taken(max(1, side - sizes.shrink))
        if side > 1 and larger != side:
            smaller = larger - sizes.multiple
            fits = f"{smaller} or {larger}" if smaller > sizes.shrink else f"{larger} or more"
            raise RecipeError(
                f"model '{name}' takes images of {fits} pixels a side, not {side}; use --set "
                f"augment.crop=auto, or resize them (--set preprocess.image_size={larger})"
            )
    expected: tuple[int, ...] = (outputs,)
    if task.target.dense:
        expected = (outputs, height - sizes.shrink, width if height == 1 else width - sizes.shrink)
    what = f"task {task.name}" if task.target.dense else f"a classifier of {outputs} classes"
    count = 3 if outputs != 3 else 4  # not the number of classes, so that exchanged axes are found
    for training, images in ((False, count), (False, 1), (True, count)):
        made = _try_out(model, shape, images, name, training=training)
        found, wanted = tuple(made.shape), (images, *expected)
        if found == wanted and made.is_floating_point() and (made.requires_grad or not training):
            continue
        mode = "in training mode " if training else ""
        if found == wanted:
            why = "whole numbers" if not made.is_floating_point() else "outputs that do not depend on weights"
            raise ModelError(f"model '{name}' returns {mode}{why}, which cannot be trained")
        hint = ""
        if found == (*expected, images):
            hint = "; the axes of images and classes are exchanged"
        elif not found:
            hint = "; that is one number, perhaps a loss: return the outputs, the loss is part of the recipe"
        raise ModelError(
            f"model '{name}' maps {images} {shape} images {mode}to {found}; {what} must return {wanted}{hint}"
        )


def _require_training_size(model: Network, recipe: Recipe, shape: ImageShape) -> None:
    """Refuse training images of another size than that of evaluation for networks of one size."""
    side = recipe.augment.resized_to
    if not side:
        return
    try:
        _try_out(model, ImageShape(shape.channels, side, side), 1, recipe.model.name, training=False)
    except ModelError:
        raise RecipeError(
            f"augment.resized_to={side} does not apply to model '{recipe.model.name}', which takes only "
            f"images of {shape.height}×{shape.width} pixels; use --set augment.resized_to=0"
        ) from None


def _try_out(model: Network, shape: ImageShape, count: int, name: str, *, training: bool) -> Tensor:
    """The outputs of a copy of the network: shapes only or, if it needs values, of blank images."""
    try:
        trial: nn.Module = on_meta(model).train(training)
        with on_shapes(), MetaMode():
            return _main(trial(torch.empty(count, *shape, device="meta")))
    except Exception:  # operations that need values; tried out in earnest next
        trial = copy.deepcopy(model).train(training)
    try:
        with torch.random.fork_rng():
            return _main(trial(torch.zeros(count, *shape)))
    except ModelError as error:
        raise ModelError(f"model '{name}': {error}") from error
    except Exception as error:  # a user's code may raise anything; the message must name it
        mode = " in training mode" if training else ""
        message = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ModelError(f"model '{name}' fails{mode} on {count} {shape} images: {message}") from error


def _main(made: Tensor | AuxiliaryLogits) -> Tensor:
    return made.logits if isinstance(made, AuxiliaryLogits) else made
