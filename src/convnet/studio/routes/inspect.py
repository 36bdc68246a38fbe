"""Requests of the view Inspect: networks, images, tensors, units, heat maps."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import torch
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, TypeAdapter, ValidationError

from convnet.data import location
from convnet.errors import ConvnetError, DataError
from convnet.models import MODELS, Facts, has_weights
from convnet.prediction import NetworkPredictor
from convnet.studio.command import command
from convnet.studio.inspector import Edit, RandomNetwork
from convnet.studio.network_view import KINDS
from convnet.studio.state import Studio, studio_of
from convnet.studio.tensors import Picture, pack_pictures, unpack_pixels
from convnet.studio.workspace import LARGEST_IMAGE
from convnet.types import SplitName
from convnet.workflows.listing import list_runs
from convnet.workflows.predictors import load_network_predictor
from convnet.workflows.run import load_run

router = APIRouter(prefix="/api/inspect")
BINARY = "application/octet-stream"
IMAGENET = " (ImageNet)"
EDITS = TypeAdapter(list[tuple[str, tuple[int, ...], float]])


@router.get("/networks")
def networks(request: Request) -> dict[str, Any]:
    """Finished runs, and networks of the zoo."""
    workspace = studio_of(request).workspace
    rows = list_runs(workspace.runs) if workspace.runs.is_dir() else []
    known = [name for name in MODELS if _is_shown(MODELS.facts(name))]
    local = [f"{name}{IMAGENET}" for name in known if has_weights(name) and name == "efficientnet-lite0"]
    return {"runs": [row.name for row in rows if row.state == "finished"], "zoo": [*local, *known]}


def _is_shown(facts: Facts) -> bool:
    """Whether a network takes images and is not fitted in one pass."""
    return not facts.fitted and facts.native.height > 1


@router.get("/network")
def network(request: Request, name: str) -> dict[str, Any]:
    """What a network takes, and the samples of its data."""
    studio = studio_of(request)
    found = _predictor(studio, name)
    return {
        "name": name,
        "shape": list(found.inputs.shape),
        "classes": list(found.labels.classes),
        "samples": _samples(studio, name),
        "exclusive": found.task.target.exclusive,
    }


def _samples(studio: Studio, name: str) -> dict[str, int]:
    """The number of samples of each split of a run; none without its data."""
    try:
        run = load_run(studio.workspace.run(name))
        studio.inspectors.samples(run)
        counts: dict[str, int] = run.data["samples"]
        return counts
    except ConvnetError:
        return {}


def _predictor(studio: Studio, name: str) -> NetworkPredictor:
    """A run, or a network of the zoo."""
    try:
        path = studio.workspace.run(name)
    except ConvnetError:
        if name.endswith(IMAGENET):
            word = name.removesuffix(IMAGENET)
            return studio.inspectors.network(name, lambda: load_network_predictor(word))
        if name not in MODELS:
            raise
        return studio.inspectors.network(name, lambda: RandomNetwork(name).predictor)
    stamp = (path / "result.json").stat().st_mtime_ns if (path / "result.json").exists() else 0
    found = studio.inspectors.network(f"{path} {stamp}", lambda: load_run(path).predictor)
    if found.inputs.modality != "images":
        raise DataError(f"{name}: takes {found.inputs.modality}; only networks on images are shown")
    return found


@router.get("/sample")
def sample(request: Request, name: str, split: SplitName, index: int) -> Response:
    """A sample of a run's data, as the network takes it."""
    studio = studio_of(request)
    dataset, parts = studio.inspectors.samples(load_run(studio.workspace.run(name)))
    chosen = parts[split]
    if not 0 <= index < len(chosen):
        raise DataError(f"{split} {index}: {name} has {len(chosen):,} such samples")
    batch = dataset.read(chosen[index : index + 1])
    if not len(batch):
        raise DataError(f"{location(dataset, int(chosen[index]))}: cannot be read")
    target, classes = batch.targets[0], dataset.info.classes
    label = classes[int(target)] if dataset.info.target.exclusive else None
    facts = {"label": label, "location": location(dataset, int(chosen[index]))}
    return _pixels(batch.images, facts)


@router.post("/decode")
async def decode(request: Request, name: str) -> Response:
    """An uploaded image, as the network takes it."""
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > LARGEST_IMAGE:
            raise DataError(f"the image has more than {LARGEST_IMAGE >> 20} MB; use a smaller one")
    from starlette.concurrency import run_in_threadpool

    return await run_in_threadpool(partial(_decoded, studio_of(request), name, bytes(content)))


def _decoded(studio: Studio, name: str, content: bytes) -> Response:
    predictor = _predictor(studio, name)
    batch = next(predictor.read(predictor.files(content)))
    return _pixels(torch.from_numpy(batch.images), {"label": None, "location": "image"})


def _pixels(images: torch.Tensor, facts: dict[str, Any]) -> Response:
    return Response(
        pack_pictures(facts, [Picture("input", "image", images[0])], whole=True), media_type=BINARY
    )


@router.post("")
async def open_image(request: Request, name: str, edits: str = "[]") -> dict[str, Any]:
    """Run a network on pixels (the body, uint8 C×H×W), with weights changed by hand."""
    from starlette.concurrency import run_in_threadpool

    studio = studio_of(request)
    predictor = await run_in_threadpool(_predictor, studio, name)
    shape = predictor.inputs.shape
    length = int(request.headers.get("content-length") or 0)
    if length > shape.channels * shape.height * shape.width:
        raise DataError(f"expected pixels {shape}, got {length:,} bytes")
    try:
        pixels = unpack_pixels(await request.body(), shape)
        changes = [Edit(*change) for change in EDITS.validate_json(edits)]
    except (ValueError, ValidationError) as error:
        raise DataError(f"the image or its edits are malformed: {error}") from error
    number, found = await run_in_threadpool(studio.inspectors.open, predictor, pixels, changes)
    return {"id": number, **found.describe(), "command": _command(studio, name)}


def _command(studio: Studio, name: str) -> str | None:
    """The command that explains a network's prediction; there is none for random weights."""
    try:
        word = str(studio.workspace.run(name))
    except ConvnetError:
        word = name.removesuffix(IMAGENET) if name.endswith(IMAGENET) else ""
    return command("explain", word, "IMAGE") if word else None


class Wanted(BaseModel):
    """Layers and kinds."""

    wanted: list[tuple[str, str]]


@router.post("/{number}/tensors")
def tensors(request: Request, number: int, asked: Wanted) -> Response:
    """Activations, gradients and weights of some layers."""
    wanted = [pair for pair in asked.wanted if pair[1] in KINDS]
    return Response(studio_of(request).inspectors.inspection(number).tensors(wanted), media_type=BINARY)


@router.get("/{number}/unit")
def unit(request: Request, number: int, layer: str, position: str) -> dict[str, Any]:
    """The arithmetic of a unit."""
    try:
        place = [int(part) for part in json.loads(f"[{position}]")]
    except (ValueError, TypeError) as error:
        raise DataError(f"{position}: expected channel,row,column") from error
    return studio_of(request).inspectors.inspection(number).unit(layer, place)


class Methods(BaseModel):
    """Attribution methods and the class that is explained."""

    methods: list[str] | None = None
    target: int | None = None


@router.post("/{number}/heatmaps")
def heatmaps(request: Request, number: int, asked: Methods) -> Response:
    """Attribution maps with their trust scores."""
    found = studio_of(request).inspectors.inspection(number)
    return Response(found.heatmaps(asked.methods, asked.target), media_type=BINARY)
