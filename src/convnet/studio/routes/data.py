"""Requests of the view Data: the audit, corrections of labels, the preview of augmentation."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import torch
from fastapi import APIRouter, Request, Response
from PIL import Image
from pydantic import BaseModel, Field

from convnet.data import Augment, Dataset, make_split
from convnet.data.batches.augment.augment import augment_batch
from convnet.data.images.decode import decode
from convnet.data.images.pixels import DecodeError
from convnet.data.images.resize import STRETCH, resize
from convnet.device import derived_seed
from convnet.errors import DataError
from convnet.recipes import Recipe, open_recipe_data
from convnet.recipes.resolve import resolve
from convnet.recipes.settle import settle
from convnet.registry import validate
from convnet.studio.command import command
from convnet.studio.live import thumbnails
from convnet.studio.recent import Recent
from convnet.studio.state import studio_of
from convnet.studio.tensors import Picture, pack_pictures
from convnet.workflows.run import load_run

router = APIRouter(prefix="/api/data")
SIDE = 200
"""The longer side of a picture in pixels."""
DRAWS = 12
"""Augmented versions that are shown."""
_OPENED: Recent[str, tuple[Recipe, Dataset, torch.Tensor]] = Recent(2)


class Source(BaseModel):
    """Data by its name or path."""

    data: str = Field(max_length=4096)


class AuditOrder(BaseModel):
    """Data, or a run whose network finds the wrong labels of its own data."""

    data: str = Field("", max_length=4096)
    run: str = Field("", max_length=4096)
    again: bool = False


class Correction(BaseModel):
    """An image and its new class, "remove", or None to take a correction back."""

    path: str
    label: str | None = None


class Preview(Source):
    """The fields of `augment` to show."""

    augment: dict[str, Any] = {}
    index: int = Field(0, ge=0)
    seed: int = Field(0, ge=0, lt=2**31)


@router.post("/audit")
def audit(request: Request, asked: AuditOrder) -> dict[str, Any]:
    """Start the audit of data."""
    studio = studio_of(request)
    run = load_run(studio.workspace.run(asked.run)) if asked.run else None
    source = studio.workspace.source(asked.data) if run is None else run.recipe.data.source
    number = studio.reviews.start(source, studio.workspace.corrections(source), run, again=asked.again)
    words = ("data", "audit", source) if run is None else ("review", run.path)
    return {"id": number, "command": command(*words)}


@router.get("/audit/{number}")
def findings(request: Request, number: int) -> dict[str, Any]:
    """The findings, or how far the audit is."""
    return studio_of(request).reviews[number].describe()


@router.get("/audit/{number}/picture")
def picture(request: Request, number: int, path: str) -> Response:
    """An image as a small JPEG."""
    from convnet.reports.thumbnails import enlarged, in_color  # the package imports matplotlib

    try:
        content = studio_of(request).reviews[number].picture(path)
        pixels = decode(content, at_least=(SIDE, SIDE), allow_truncated=True, adapt=True).pixels
    except DecodeError as error:
        raise DataError(f"{path}: {error}") from error
    shown = enlarged(in_color(pixels), SIDE)
    height, width = shown.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    small = resize(shown, (max(1, round(height * scale)), max(1, round(width * scale))), STRETCH)
    written = io.BytesIO()
    Image.fromarray(small).save(written, "JPEG", quality=85)
    headers = {"cache-control": "private, max-age=3600"}  # the number of a review is never used again
    return Response(written.getvalue(), media_type="image/jpeg", headers=headers)


@router.post("/audit/{number}/correct")
def correct(request: Request, number: int, asked: Correction) -> dict[str, Any]:
    """Correct the label of an image."""
    review = studio_of(request).reviews[number]
    review.correct(asked.path, asked.label)
    return {"corrections": review.corrections}


@router.post("/audit/{number}/apply")
def apply(request: Request, number: int) -> dict[str, Any]:
    """Write a table of all images with corrected labels."""
    return studio_of(request).reviews[number].apply()


@router.post("/augment")
def augment(request: Request, asked: Preview) -> Response:
    """A training image and augmented versions of it, as a binary message."""
    source = studio_of(request).workspace.source(asked.data)
    found = _OPENED.get(source, lambda: _opened(source))
    assert found is not None, "it is made if it is missing"
    recipe, dataset, train = found
    fields = {k: v for k, v in asked.augment.items() if k not in ("mixup", "cutmix", "custom", "crops")}
    chosen = settle(
        recipe.model_copy(update={"augment": validate(Augment, fields, "augment")}),
        dataset,
        make_split(dataset, recipe.split),
    ).augment
    index = train[asked.index % len(train)]
    batch = dataset.read(index.repeat(DRAWS))
    if not len(batch):
        raise DataError(f"{asked.data}: image {asked.index} cannot be read")
    seed = derived_seed(asked.seed, "augment", 0, 0)
    drawn = augment_batch(replace(batch, images=batch.images.contiguous()), chosen, seed, dataset.info.target)
    pictures = [Picture("original", "image", thumbnails(batch.images[:1])[0])]
    pictures += [Picture(str(i), "image", image) for i, image in enumerate(thumbnails(drawn.images))]
    words = [word for field, value in asked.augment.items() for word in ("--set", f"augment.{field}={value}")]
    facts = {"command": command("data", "preview", source, *words), "count": len(train)}
    return Response(pack_pictures(facts, pictures, whole=True), media_type="application/octet-stream")


def _opened(source: str) -> tuple[Recipe, Dataset, torch.Tensor]:
    resolved = resolve(source, {})
    dataset = open_recipe_data(resolved.recipe, resolved.data)
    if dataset.info.modality != "images":
        raise DataError(f"{source}: holds {dataset.info.noun}, not images; there is nothing to augment")
    return resolved.recipe, dataset, make_split(dataset, resolved.recipe.split).train
