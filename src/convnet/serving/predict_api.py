"""Endpoints for images: `POST /v1/models/{name}/predict`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import JSONResponse

from convnet.serving.answers import PredictAnswer, answer_of, count
from convnet.serving.bodies import FORM, JSON, JsonImages, inlined, read_files
from convnet.serving.errors import documented
from convnet.serving.server_state import ServerState, state_of

DEFAULT_TOP = 5
Name = Annotated[str, Path(description="The name of the model.", min_length=1, max_length=200)]
Version = Annotated[str, Path(description="The version of the model.", min_length=1, max_length=200)]
TopClasses = Annotated[int | None, Query(ge=1, description="How many classes to answer with; 5 by default.")]
State = Annotated[ServerState, Depends(state_of)]
FILE = {"type": "string", "format": "binary"}
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            FORM: {
                "schema": {
                    "type": "object",
                    "properties": {"images": {"type": "array", "items": FILE, "minItems": 1}},
                    "required": ["images"],
                }
            },
            "image/*": {"schema": FILE},
            "application/octet-stream": {"schema": FILE},
            "text/csv": {"schema": {"type": "string"}},
            JSON: {"schema": inlined(JsonImages)},
        },
    }
}
ERRORS = documented(400, 404, 413, 415, 422, 429, 500, 503)
router = APIRouter(prefix="/v1", tags=["predict"])


@router.get("/models", summary="List the models")
async def models(state: State) -> dict[str, list[dict[str, Any]]]:
    """The models with their versions, classes and inputs."""
    return {"models": [model.describe() for model in state.store.models]}


@router.get("/models/{name}", summary="Describe a model", responses=documented(404))
async def model(name: Name, state: State) -> dict[str, Any]:
    """The last version of a model."""
    return state.store.get(name).describe()


@router.post(
    "/models/{name}/predict",
    summary="Predict images",
    response_model=PredictAnswer,
    responses=ERRORS,
    openapi_extra=BODY,
)
async def predict(name: Name, request: Request, state: State, top: TopClasses = None) -> JSONResponse:
    """Predict one or more images with the last version of a model."""
    return await _predict(name, None, request, state, top)


@router.post(
    "/models/{name}/versions/{version}/predict",
    summary="Predict images with a version",
    response_model=PredictAnswer,
    responses=ERRORS,
    openapi_extra=BODY,
)
async def predict_with_version(
    name: Name, version: Version, request: Request, state: State, top: TopClasses = None
) -> JSONResponse:
    """Predict one or more images with one version of a model."""
    return await _predict(name, version, request, state, top)


async def _predict(
    name: str, version: str | None, request: Request, state: ServerState, top: int | None
) -> JSONResponse:
    chosen = state.store.get(name, version)
    with chosen.in_use(), state.receiving() as received:
        body = await read_files(request, state.limits, received)
        with state.admitted(len(body.contents)):
            predictions = await chosen.predict(body.contents, body.suffix)
    count(predictions, chosen, state.metrics)
    request.state.log = {"model": chosen.name, "version": chosen.version, "images": len(predictions)}
    return JSONResponse(answer_of(predictions, top or body.top or DEFAULT_TOP, chosen))
