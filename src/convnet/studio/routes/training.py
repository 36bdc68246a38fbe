"""Requests of the view Train: data, recipes, jobs and their live messages."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter, Request, Response, WebSocket
from pydantic import BaseModel, Field
from starlette.websockets import WebSocketDisconnect

from convnet.cores import available_cores
from convnet.data import DATASETS
from convnet.data.datasets.named.catalog import locate
from convnet.errors import ConvnetError, RunError
from convnet.recipes import RECIPES
from convnet.recipes.resolve import choose_recipe
from convnet.recipes.schema import recipe_schema
from convnet.settings import settings
from convnet.studio.audience import Watcher
from convnet.studio.command import command, train_command
from convnet.studio.job import Job
from convnet.studio.network_view import KINDS
from convnet.studio.state import Studio, studio_of
from convnet.studio.workspace import require_local

router = APIRouter(prefix="/api")
MOST_LISTED = 500
"""The largest number of folders that are listed."""
LONGEST_MESSAGE = 1 << 16


class Plan(BaseModel):
    """A recipe or data, and the fields that are changed."""

    word: str = Field(max_length=4096)
    changes: dict[str, Any] = {}


class NewJob(Plan):
    """A training to start; with `rival`, a race of two optimizers on the same batches."""

    rival: str | None = None
    paused: bool = False


class FieldChange(BaseModel):
    """A field of a recipe and its new value."""

    field: str
    value: Any = None


class RunName(BaseModel):
    """A run, by its path below the folder of runs."""

    run: str


@router.get("/start")
def start(request: Request) -> dict[str, Any]:
    """What the page opens first."""
    return studio_of(request).start


@router.get("/data")
def data_sets() -> list[dict[str, Any]]:
    """The named data sets that are on this machine."""
    return [
        {"name": found.name, "title": found.title, "classes": list(found.classes)}
        for found in DATASETS.values()
        if locate(found.name) is not None
    ]


@router.get("/folders")
def folders(request: Request, path: str = "") -> dict[str, Any]:
    """The folders and files of data in a folder; without one, the folders that may be opened."""
    workspace = studio_of(request).workspace
    if not path:
        return {"path": "", "parent": None, "folders": [str(root) for root in workspace.roots], "files": []}
    folder = Path(workspace.source(path))
    inside = sorted(folder.iterdir()) if folder.is_dir() else []
    shown = [child for child in inside if not child.name.startswith(".")]
    parent = folder.parent
    with suppress(ConvnetError):
        return {
            "path": str(folder),
            "parent": workspace.source(str(parent)),
            **_listing(shown),
        }
    return {"path": str(folder), "parent": "", **_listing(shown)}


DATA_FILES = (".zip", ".csv", ".npz", ".arff", ".json", ".tar", ".yaml", ".yml", ".parquet")


def _listing(inside: list[Path]) -> dict[str, Any]:
    return {
        "folders": [str(child) for child in inside if child.is_dir()][:MOST_LISTED],
        "files": [str(child) for child in inside if child.suffix.lower() in DATA_FILES][:MOST_LISTED],
    }


@router.get("/recipes")
def recipes() -> list[dict[str, str]]:
    """The named recipes, and the schema of their fields."""
    return [{"name": n, "summary": r.summary, "expected": r.expected} for n, r in RECIPES.items()]


@router.get("/schema")
def schema() -> dict[str, Any]:
    """The JSON schema of recipes."""
    return recipe_schema()


@router.post("/recipe")
def recipe(request: Request, plan: Plan) -> dict[str, Any]:
    """The complete recipe for data or a named recipe, with changed fields."""
    workspace = studio_of(request).workspace
    word = workspace.source(plan.word)
    workspace.require_confined(plan.changes)
    return {
        "recipe": choose_recipe(word, plan.changes).to_dict(),
        "command": train_command(word, plan.changes),
    }


@router.post("/uploads")
async def upload(request: Request, name: str) -> dict[str, str]:
    """Store an uploaded file of data."""
    workspace = studio_of(request).workspace
    path = await workspace.receive(name, request.stream())
    return {"path": str(await asyncio.to_thread(workspace.unpack, path))}


@router.get("/jobs")
async def jobs(request: Request) -> list[dict[str, Any]]:
    """All jobs of this start of the studio, newest first."""
    return [job.summary() for job in reversed(studio_of(request).jobs.jobs.values())]


@router.post("/jobs")
async def submit(request: Request, new: NewJob) -> dict[str, Any]:
    """Start a training, or add it to the queue."""
    studio = studio_of(request)
    word = studio.workspace.source(new.word)
    studio.workspace.require_confined(new.changes)
    versions = [new.changes] if new.rival is None else [new.changes, _with_rival(new.changes, new.rival)]
    threads = None if new.rival is None else max(1, available_cores() // 2)  # the two share the cores
    orders = []
    for changes in versions:
        checked = await asyncio.to_thread(choose_recipe, word, changes)  # errors are shown in the form
        require_local(checked.data.source)
        title = f"{checked.name}: {checked.optimizer.name}" if new.rival else checked.name
        order = {"verb": "train", "word": word, "changes": changes, "title": title, "paused": new.paused}
        order |= {"threads": threads, **_place(studio)}
        orders.append((order, train_command(word, changes, threads)))
    return {"jobs": [job.number for job in studio.jobs.submit(orders)]}


def _place(studio: Studio) -> dict[str, Any]:
    """What an order needs of the settings and folders of the studio."""
    chosen = settings()
    data_dir = None if chosen.data_dir is None else str(chosen.data_dir.resolve())
    return {"runs": str(studio.workspace.runs), "device": chosen.device, "data_dir": data_dir}


def _with_rival(changes: dict[str, Any], optimizer: str) -> dict[str, Any]:
    """The changes of a recipe with another optimizer at its defaults."""
    kept = {field: value for field, value in changes.items() if not field.startswith("optimizer")}
    return {**kept, "optimizer": optimizer}


@router.post("/resume")
async def resume(request: Request, asked: RunName) -> dict[str, Any]:
    """Resume a run that was interrupted."""
    studio = studio_of(request)
    run = studio.workspace.run(asked.run)
    if (active := studio.jobs.training(run)) is not None:
        return {"jobs": [active.number]}
    order = {"verb": "resume", "run": str(run), "title": asked.run, **_place(studio)}
    return {"jobs": [job.number for job in studio.jobs.submit([(order, command("resume", run))])]}


Verb = Literal["pause", "step", "resume", "save", "stop", "finish"]


@router.post("/jobs/{number}/change")
async def change(request: Request, number: int, asked: FieldChange) -> dict[str, str]:
    """Change a field of the recipe of a running job."""
    studio = studio_of(request)
    await studio.jobs.change(_job(studio, number), asked.field, asked.value)
    return {"state": "changed"}


@router.post("/jobs/{number}/{verb}")
async def act(request: Request, number: int, verb: Verb) -> dict[str, str]:
    """Pause, step, resume, save, stop or finish a job."""
    studio = studio_of(request)
    job = _job(studio, number)
    studio.jobs.ask(job, verb)
    return {"state": job.state}


@router.get("/jobs/{number}/images")
async def images(request: Request, number: int) -> Response:
    """The held-out images of a job as a binary message."""
    found = _job(studio_of(request), number).images
    if found is None:
        raise RunError(f"job {number}: has no images")
    return Response(found, media_type="application/octet-stream")


def _job(studio: Studio, number: int) -> Job:
    if number not in studio.jobs.jobs:
        raise RunError(
            f"job {number}: no such job; after a restart of the studio, open its run in the view Runs"
        )
    return studio.jobs[number]


@router.websocket("/jobs/{number}/live")
async def live(socket: WebSocket, number: int) -> None:
    """Send what happens in a job, and take which layers the page shows."""
    studio = studio_of(socket)
    await socket.accept()
    if number not in studio.jobs.jobs:
        await socket.close(4404, "there is no such job")
        return
    job, watcher = studio.jobs[number], Watcher()
    watcher.put({**job.snapshot(), "start": studio.jobs.start})
    job.audience.join(watcher)
    sender = asyncio.create_task(_send(socket, watcher))
    try:
        while True:
            message = await socket.receive_json()
            if not _take(job, watcher, message):
                await socket.close(4400, "the message is not understood")
                break
    except (WebSocketDisconnect, ValueError, KeyError, RuntimeError):
        pass  # the page is gone, or does not speak JSON
    finally:
        job.audience.leave(watcher)
        sender.cancel()
        with suppress(asyncio.CancelledError):
            await sender


async def _send(socket: WebSocket, watcher: Watcher) -> None:
    """Send the messages of a page until it is closed."""
    with suppress(WebSocketDisconnect, RuntimeError, OSError):
        while (message := await watcher.get()) is not None:
            if isinstance(message, bytes):
                await socket.send_bytes(message)
            else:
                await socket.send_json(message)
        await socket.close(4408, "the page is too slow")


def _take(job: Job, watcher: Watcher, message: Any) -> bool:
    """Take a message of a page; whether it is one."""
    if not isinstance(message, dict):
        return False
    if message.get("type") == "drawn":
        job.audience.drawn(watcher)
        return True
    wanted, image = message.get("wanted"), message.get("image")
    if message.get("type") != "watch" or not isinstance(wanted, list) or not isinstance(image, int):
        return False
    known = {layer["name"] for layer in (job.facts or {}).get("layers", [])}
    pairs = {
        (pair[0], pair[1])
        for pair in wanted
        if isinstance(pair, list) and len(pair) == 2 and all(isinstance(word, str) for word in pair)
        if pair[0] in known and pair[1] in KINDS
    }
    job.audience.watch(watcher, pairs, max(0, image))
    return True
