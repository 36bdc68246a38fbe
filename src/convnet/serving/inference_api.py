"""The Open Inference Protocol, version 2 (KServe), for samples that a client has prepared itself."""

from __future__ import annotations

import asyncio
import json
import math
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Len
from fastapi import APIRouter, Request
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.responses import Response

from convnet.errors import ModelError
from convnet.export.verify import answers
from convnet.serving.bodies import JSON, inlined, read_body
from convnet.serving.errors import ApiError, documented
from convnet.serving.predict_api import Name, State, Version
from convnet.serving.served_model import ServedModel
from convnet.serving.server_state import ServerState

INPUT, OUTPUTS = "samples", ("probabilities", "logits")
TYPES = {"uint8": "UINT8", "float32": "FP32"}
router = APIRouter(prefix="/v2", tags=["Open Inference Protocol"])


class TensorIn(BaseModel):
    """A tensor: its shape, and its numbers in row-major order, flat or nested."""

    model_config = ConfigDict(extra="ignore")

    name: Literal["samples"]
    shape: Annotated[list[Annotated[int, Ge(1)]], Len(4, 4)]
    datatype: Literal["UINT8", "FP32"]
    data: Annotated[list[Any], Len(1)]


class InferRequest(BaseModel):
    """The request of the protocol."""

    model_config = ConfigDict(extra="ignore")

    id: str | None = None
    inputs: Annotated[list[TensorIn], Len(1, 1)]


@router.get("", summary="Describe the server")
async def server() -> dict[str, Any]:
    """Name, version and extensions."""
    from importlib.metadata import version

    return {"name": "convnet", "version": version("convnet"), "extensions": []}


@router.get("/health/live", summary="Liveness check")
async def live() -> dict[str, bool]:
    """As /healthz."""
    return {"live": True}


@router.get("/health/ready", summary="Readiness check", responses=documented(503))
async def ready(state: State) -> dict[str, bool]:
    """As /readyz."""
    if not state.ready:
        raise ApiError(503, "the server is stopping")
    return {"ready": True}


@router.get("/models/{name}", summary="Describe a model", responses=documented(404))
async def metadata(name: Name, state: State) -> dict[str, Any]:
    """Its versions, inputs and outputs."""
    return _metadata(state.store.get(name), [m.version for m in state.store.models if m.name == name])


@router.get("/models/{name}/versions/{version}", summary="Describe a version", responses=documented(404))
async def metadata_of_version(name: Name, version: Version, state: State) -> dict[str, Any]:
    """Its inputs and outputs."""
    return _metadata(state.store.get(name, version), [version])


@router.get("/models/{name}/ready", summary="Readiness of a model", responses=documented(404))
async def model_ready(name: Name, state: State) -> dict[str, Any]:
    """A model is ready as soon as it is listed."""
    return {"name": state.store.get(name).name, "ready": True}


@router.get(
    "/models/{name}/versions/{version}/ready",
    summary="Readiness of a version",
    responses=documented(404),
)
async def version_ready(name: Name, version: Version, state: State) -> dict[str, Any]:
    """As of a model."""
    return {"name": state.store.get(name, version).name, "ready": True}


BODY: dict[str, Any] = {
    "requestBody": {"required": True, "content": {JSON: {"schema": inlined(InferRequest)}}}
}
ERRORS = documented(400, 404, 413, 415, 422, 429, 500, 503)


@router.post("/models/{name}/infer", summary="Compute tensors", responses=ERRORS, openapi_extra=BODY)
async def infer(name: Name, request: Request, state: State) -> Response:
    """Compute prepared samples with the last version of a model."""
    return await _infer(state, state.store.get(name), request)


@router.post(
    "/models/{name}/versions/{version}/infer", summary="Compute tensors", responses=ERRORS, openapi_extra=BODY
)
async def infer_with_version(name: Name, version: Version, request: Request, state: State) -> Response:
    """Compute prepared samples with one version of a model."""
    return await _infer(state, state.store.get(name, version), request)


async def _infer(state: ServerState, model: ServedModel, request: Request) -> Response:
    kind = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
    if kind != JSON:
        raise ApiError(415, f"content type '{kind[:100]}' is not supported; send {JSON}")
    with model.in_use(), state.receiving() as received:
        content = await read_body(request, state.limits, received)
        given = await asyncio.to_thread(_parsed, content)
        samples = await asyncio.to_thread(_samples, given.inputs[0], model)
        if len(samples) > state.limits.images:
            raise ApiError(
                413, f"the request holds {len(samples)} samples; the limit is {state.limits.images}"
            )
        with state.admitted(len(samples)):
            answer = await asyncio.to_thread(_computed, given, samples, model)
    return Response(answer, media_type=JSON)


def _computed(given: InferRequest, samples: NDArray[Any], model: ServedModel) -> bytes:
    """The answer to a request, as JSON."""
    try:
        outputs = model.predictor.backend.outputs(samples)
    except ModelError as error:
        raise ApiError(422, str(error)) from error
    if not np.isfinite(outputs).all():
        raise ApiError(422, "the outputs are not finite, because the data hold NaN or too large numbers")
    calibration = model.manifest.outputs.calibration
    shown = answers(outputs, model.predictor.kind, 1.0 if calibration is None else calibration.temperature)
    content = {
        "model_name": model.name,
        "model_version": model.version,
        **({"id": given.id} if given.id is not None else {}),
        "outputs": [_tensor(name, values) for name, values in zip(OUTPUTS, (shown, outputs), strict=True)],
    }
    return json.dumps(content).encode()


def _parsed(content: bytes) -> InferRequest:
    try:
        return InferRequest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        status = 400 if first["type"] == "json_invalid" else 422
        raise ApiError(status, f"{place or 'body'}: {first['msg'].lower()}") from None


def _samples(given: TensorIn, model: ServedModel) -> NDArray[Any]:
    """The samples of a request, checked against the model."""
    dtype = model.manifest.inputs.dtype
    if given.datatype != TYPES[dtype]:
        raise ApiError(422, f"datatype is {given.datatype}; the model takes {TYPES[dtype]}")
    if not model.predictor.kind.dense and not model.predictor.inputs.any_length:
        wanted = list(model.manifest.inputs.shape)
        if given.shape[1:] != wanted:
            raise ApiError(422, f"shape is {given.shape}; the model takes N, {', '.join(map(str, wanted))}")
    try:
        numbers = np.asarray(given.data, np.float64).ravel()
    except (ValueError, TypeError, OverflowError) as error:
        raise ApiError(422, f"data: not an array of numbers: {error}") from None
    if not np.isfinite(numbers).all() and dtype == "uint8":
        raise ApiError(422, "data: UINT8 takes whole numbers from 0 to 255")
    if numbers.size != math.prod(given.shape):
        raise ApiError(422, f"data holds {numbers.size} numbers; the shape needs {math.prod(given.shape)}")
    if dtype == "uint8" and (numbers.min() < 0 or numbers.max() > 255 or (numbers % 1).any()):
        raise ApiError(422, "data: UINT8 takes whole numbers from 0 to 255")
    return numbers.astype(dtype).reshape(given.shape)


def _tensor(name: str, values: NDArray[Any]) -> dict[str, Any]:
    return {
        "name": name,
        "shape": list(values.shape),
        "datatype": "FP32",
        "data": values.ravel().astype(np.float32).tolist(),
    }


def _metadata(model: ServedModel, versions: list[str]) -> dict[str, Any]:
    dtype = model.manifest.inputs.dtype
    free = model.predictor.kind.dense or model.predictor.inputs.any_length
    channels, height, width = model.manifest.inputs.shape
    sides = [-1, -1] if free else [height, width]
    given = [-1, model.manifest.outputs.count, *(sides if model.predictor.kind.dense else [])]
    return {
        "name": model.name,
        "versions": versions,
        "platform": f"convnet_{model.predictor.backend.name}",
        "inputs": [{"name": INPUT, "datatype": TYPES[dtype], "shape": [-1, channels, *sides]}],
        "outputs": [{"name": name, "datatype": "FP32", "shape": given} for name in OUTPUTS],
    }
