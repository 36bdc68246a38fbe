"""`convnet cache`."""

from __future__ import annotations

from typing import Annotated

import typer

from convnet.cli.options import Json, print_json

app = typer.Typer(help="List and delete what is cached: decoded images, embeddings, scans, downloads.")


@app.command("list")
def list_cache(as_json: Json = False) -> None:
    """List the caches of images and embeddings, stale ones first, and the size of everything else."""
    from convnet.data.files.cache_listing import list_cached

    cached = list_cached()
    if as_json:
        print_json([entry.to_dict() for entry in cached])
        return
    from convnet.data.files.remote_file import cache_folder

    print(f"{cache_folder('packs').parent}\n")
    for entry in cached:
        note = f"  {entry.stale}" if entry.stale else ""
        print(f"{entry.bytes / 1e6:>10,.1f} MB  {entry.kind:<10}  {entry.name}{note}")
    print(f"{sum(entry.bytes for entry in cached) / 1e6:>10,.1f} MB  in all")


@app.command("clear")
def clear_cache(
    everything: Annotated[
        bool, typer.Option("--all", help="Also delete what may still be used, except downloads.")
    ] = False,
) -> None:
    """Delete caches of folders that no longer exist and of earlier sizes."""
    from convnet.data.files.cache_listing import clear, list_cached

    chosen = [entry for entry in list_cached() if entry.stale or (everything and entry.kind != "downloads")]
    clear(chosen)
    freed = sum(entry.bytes for entry in chosen)
    print(f"deleted {len(chosen)} caches, {freed / 1e6:,.1f} MB")
