"""Run the studio: the port, the token, the browser, a clean end."""

from __future__ import annotations

import logging
import secrets
import socket
import threading
import webbrowser
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import urlencode

import uvicorn

from convnet.atomic import cannot_write
from convnet.data import DATASETS
from convnet.errors import DataError, RunError, ServerError
from convnet.settings import settings
from convnet.studio.app import make_app
from convnet.studio.jobs import JobQueue
from convnet.studio.state import Studio
from convnet.studio.workspace import Workspace
from convnet.workflows.listing import has_runs

HOST = "127.0.0.1"
PORT = 8642
"""The port that is tried first."""
logger = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """A server that says on the first Ctrl-C what it waits for."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End after the training processes have saved their runs; at once on a second signal."""
        if self.should_exit:
            self.force_exit = True
            return
        self.should_exit = True
        logger.info("stopping: runs that are being trained are saved")


def serve_studio(word: str | None, *, port: int | None = None, open_browser: bool = True) -> None:
    """Serve the studio until Ctrl-C.

    Args:
        word: Data, a run, or a folder of runs.
        port: The port; 0 for a free one. Default: 8642, or a free one if it is taken.
        open_browser: Whether to open the page.

    Raises:
        ServerError: The port cannot be used.
        DataError: There is no such data.
        RunError: The folder of runs is not writable.
    """
    workspace, start = open_workspace(word)
    try:
        workspace.runs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(cannot_write(workspace.runs, error)) from error
    with _listening(port) as listening:
        number = listening.getsockname()[1]
        token = secrets.token_urlsafe(24)
        studio = Studio(workspace, JobQueue(workspace.runs / ".studio.log"), start)
        config = uvicorn.Config(
            make_app(studio, number, token),
            host=HOST,
            port=number,
            access_log=False,
            log_config=None,
            server_header=False,
            ws="websockets-sansio",
            ws_per_message_deflate=False,
            ws_max_size=1 << 20,
            timeout_graceful_shutdown=2,
        )
        address = f"http://{HOST}:{number}/?{urlencode({'token': token})}"
        print(f"studio  {address}", flush=True)
        print(f"runs    {workspace.runs}    Ctrl-C ends the studio", flush=True)
        if open_browser:
            threading.Timer(0.5, webbrowser.open, [address]).start()
        server = Server(config)
        server.run([listening])


def open_workspace(word: str | None) -> tuple[Workspace, dict[str, Any]]:
    """The folders of the studio, and what its page opens first.

    Args:
        word: Data, a run, or a folder of runs.

    Raises:
        DataError: There is no such data.
    """
    here = Path.cwd()
    roots = tuple(dict.fromkeys([here, *settings().data_folders()]))
    runs = here / "runs"
    if word is None:
        return Workspace(runs, roots), {"view": "train"}
    path = Path(word).expanduser()
    if (path / "run.json").exists():
        path = path.resolve()
        return Workspace(path.parent, roots), {"view": "inspect", "network": path.name}
    if path.is_dir() and has_runs(path):
        return Workspace(path.resolve(), roots), {"view": "runs"}
    if path.exists():
        if here.is_relative_to(path.resolve()):  # runs may not lie within the data
            runs = path.resolve().parent / "runs"
        return Workspace(runs, (path.resolve(), *roots)), {"view": "train", "data": str(path.resolve())}
    from convnet.recipes import RECIPES

    if word in DATASETS or word in RECIPES:
        return Workspace(runs, roots), {"view": "train", "data": word}
    raise DataError(f"{word}: neither data, a recipe, a run nor a folder of runs")


def _listening(port: int | None) -> socket.socket:
    """A socket at the port."""
    try:
        return socket.create_server((HOST, PORT if port is None else port))
    except (OSError, OverflowError) as error:
        if port is None:
            return socket.create_server((HOST, 0))
        raise ServerError(f"cannot listen at port {port}: {error}; choose another with --port") from error
