"""Requests of the view Runs: the table, reports, comparison, export, serving, the trash."""

from __future__ import annotations

import hashlib
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import FileResponse, HTMLResponse, Response

from convnet.errors import RunError
from convnet.export import is_bundle
from convnet.runs import RunFolder, as_file_name
from convnet.studio.command import command
from convnet.studio.gate import REPORT
from convnet.studio.routes.training import RunName
from convnet.studio.state import studio_of
from convnet.studio.workspace import inside
from convnet.workflows.listing import list_runs
from convnet.workflows.run import load_run

router = APIRouter(prefix="/api/runs")


class Names(BaseModel):
    """Several runs."""

    runs: list[str] = Field(min_length=2, max_length=20)


class ExportOrder(BaseModel):
    """A run to export, and how."""

    run: str
    onnx: bool = True
    int8: bool = False


class BundleName(BaseModel):
    """A bundle, by its name in the folder of bundles."""

    bundle: str


@router.get("")
def table(request: Request) -> list[dict[str, Any]]:
    """The runs, newest first."""
    studio = studio_of(request)
    workspace = studio.workspace
    if not workspace.runs.is_dir():
        return []
    rows = []
    for row in list_runs(workspace.runs):
        path = workspace.runs / row.name
        job, bundle = studio.jobs.training(path), workspace.bundles / row.name
        rows.append(
            {
                **row.to_dict(),
                "job": None if job is None else job.number,
                "state": row.state if job is None else "paused" if job.paused else job.state,
                "bundle": row.name if is_bundle(bundle) else None,
                "served": studio.servers.address(bundle),
            }
        )
    return rows


@router.get("/report")
def report(request: Request, run: str) -> Response:
    """The report of a run."""
    path = studio_of(request).workspace.run(run)
    page = path / "report.html"
    if not page.exists():
        from convnet.workflows.report import write_report  # it imports matplotlib

        write_report(load_run(path), full=False)
    return FileResponse(page, media_type="text/html", headers={"content-security-policy": REPORT})


@router.post("/compare")
def compare(request: Request, asked: Names) -> dict[str, str]:
    """Compare finished runs."""
    from convnet.workflows.comparison import compare_runs  # it imports matplotlib

    workspace = studio_of(request).workspace
    paths = [workspace.run(name) for name in asked.runs]
    names = "-".join(asked.runs)
    digest = hashlib.sha256(names.encode()).hexdigest()[:8]
    folder = workspace.runs / "comparisons" / f"{as_file_name(names)}-{digest}"
    found = compare_runs(paths, folder)
    name = found.page.parent.relative_to(workspace.runs / "comparisons").as_posix()
    return {"comparison": name, "command": command("compare", *paths)}


@router.get("/comparison")
def comparison(request: Request, name: str) -> Response:
    """The page of a comparison."""
    page = inside(studio_of(request).workspace.runs / "comparisons", f"{name}/compare.html")
    if page is None or not page.is_file():
        raise RunError(f"{name}: no such comparison")
    return HTMLResponse(page.read_text(), headers={"content-security-policy": REPORT})


@router.post("/export")
def export(request: Request, order: ExportOrder) -> dict[str, Any]:
    """Export a run as a bundle."""
    from convnet.workflows.export import export_run  # torch.export takes a while

    workspace = studio_of(request).workspace
    path = workspace.run(order.run)
    out = workspace.bundles / workspace.name_of(path)
    if is_bundle(out):
        studio_of(request).servers.stop(out)
        workspace.discard(out, f"bundles/{workspace.name_of(path)}")
    made = export_run(
        load_run(path), out, formats=["onnx"] if order.onnx else [], quantize=order.onnx and order.int8
    )
    options = {
        "out": out,
        "format": "onnx" if order.onnx else None,
        "quantize": "int8" if order.int8 else None,
    }
    return {**made.as_dict(), "command": command("export", path, **options)}


@router.post("/serve")
def serve(request: Request, asked: BundleName) -> dict[str, str]:
    """Serve a bundle over HTTP."""
    studio = studio_of(request)
    bundle = _bundle(studio.workspace.bundles, asked.bundle)
    return {"address": studio.servers.start(bundle), "command": command("serve", bundle)}


@router.post("/unserve")
def unserve(request: Request, asked: BundleName) -> dict[str, str]:
    """Stop serving a bundle."""
    studio = studio_of(request)
    studio.servers.stop(_bundle(studio.workspace.bundles, asked.bundle))
    return {"state": "stopped"}


def _bundle(folder: Path, name: str) -> Path:
    bundle = inside(folder, name)
    if bundle is None or not is_bundle(bundle):
        raise RunError(f"{name}: no such bundle; export the run first")
    return bundle


@router.post("/delete")
def delete(request: Request, asked: RunName) -> dict[str, str]:
    """Move a run to the trash."""
    studio = studio_of(request)
    workspace = studio.workspace
    path = workspace.run(asked.run)
    if studio.jobs.training(path) is not None:
        raise RunError(f"{asked.run}: is being trained; stop it first")
    if is_bundle(bundle := workspace.bundles / workspace.name_of(path)):
        studio.servers.stop(bundle)
    with RunFolder.open(path).writing():  # no other process is training it
        return {"trash": workspace.discard(path, workspace.name_of(path))}


class Trashed(BaseModel):
    """A deleted run, by its path in the trash."""

    trash: str


@router.post("/restore")
def restore(request: Request, asked: Trashed) -> dict[str, str]:
    """Take a run out of the trash."""
    workspace = studio_of(request).workspace
    place = inside(workspace.trash, asked.trash)
    if place is None or not (place / "run.json").exists():
        raise RunError(f"{asked.trash[:200]}: is not in the trash")
    name = place.relative_to(workspace.trash.resolve()).as_posix().partition("/")[2]
    target = workspace.runs / name
    if target.exists():
        raise RunError(f"{name}: already exists; rename it first")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(place, target)
    with suppress(OSError):
        (workspace.trash / asked.trash.partition("/")[0]).rmdir()
    return {"run": name}


@router.get("/trash")
def trash(request: Request) -> dict[str, Any]:
    """The deleted runs, and their size."""
    folder = studio_of(request).workspace.trash
    runs = sorted(file.parent for file in folder.rglob("run.json")) if folder.is_dir() else []
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if folder.is_dir() else 0
    return {"runs": [run.relative_to(folder).as_posix() for run in runs], "bytes": size}


@router.post("/empty-trash")
def empty_trash(request: Request) -> dict[str, str]:
    """Delete the runs in the trash for good."""
    folder = studio_of(request).workspace.trash
    if folder.is_dir():
        shutil.rmtree(folder)
    return {"state": "empty"}
