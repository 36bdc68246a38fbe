"""The application: endpoints, the page, health and metrics."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from fastapi import FastAPI
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from convnet.serving import inference_api, predict_api
from convnet.serving.errors import ApiError, add_error_handlers, documented
from convnet.serving.gate import Gate
from convnet.serving.server_state import ServerState

STATIC = Path(__file__).parent / "static"
DESCRIPTION = (
    "Predictions of image models. Send images to `/v1/models/{name}/predict`, or prepared tensors to "
    "`/v2/models/{name}/infer` (Open Inference Protocol)."
)


def make_app(state: ServerState, token: str | None = None) -> Gate:
    """The application of a server.

    Args:
        state: The models, limits and metrics.
        token: The bearer token that every request but those for health needs; None for none.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        watching = asyncio.create_task(state.store.watch())
        yield
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        state.store.close()

    app = FastAPI(
        title="convnet",
        version=version("convnet"),
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.server = state
    add_error_handlers(app)
    app.include_router(predict_api.router)
    app.include_router(inference_api.router)
    _add_health(app, state)
    _add_pages(app)
    return Gate(app, state.limits, state.metrics, token)


def _add_health(app: FastAPI, state: ServerState) -> None:
    @app.get("/healthz", tags=["health"], summary="Liveness check")
    async def healthz() -> dict[str, str]:
        """Answers as long as the process does."""
        return {"status": "alive"}

    @app.get("/readyz", tags=["health"], summary="Readiness check", responses=documented(503))
    async def readyz() -> dict[str, str]:
        """Not while the server stops."""
        if not state.ready:
            raise ApiError(503, "the server is stopping")
        return {"status": "ready"}

    @app.get("/metrics", tags=["health"], summary="Metrics for Prometheus", response_class=Response)
    async def metrics() -> Response:
        """Latencies, batches, the queue, predictions by class."""
        return Response(state.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_pages(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(STATIC / "index.html")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse((STATIC / "docs.html").read_text())

    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    if (found := find_spec("fastapi_offline")) is not None and found.origin is not None:  # Swagger UI
        app.mount("/swagger", StaticFiles(directory=Path(found.origin).parent / "static"), name="swagger")
