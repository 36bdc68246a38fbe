"""What requests hold is bounded, and given back."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from convnet.serving.errors import ApiError
from convnet.serving.inference_api import InferRequest, _computed
from convnet.serving.limits import Limits
from convnet.serving.server_state import ServerState


def test_bytes_of_several_requests_are_bounded() -> None:
    store: Any = None
    state = ServerState(store, Limits(bodies=100))
    with state.receiving() as alone:
        alone(150)  # a single request is bounded by its own limit
    with state.receiving() as first, state.receiving() as second:
        first(80)
        second(20)
        with pytest.raises(ApiError) as raised:
            second(1)
        assert raised.value.status == 429 and raised.value.headers["connection"] == "close"
    assert state.held == 0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_outputs_that_are_not_finite_are_the_fault_of_the_data(value: float) -> None:
    outputs = np.full((1, 2), value, np.float32)
    model: Any = SimpleNamespace(
        predictor=SimpleNamespace(backend=SimpleNamespace(outputs=lambda _: outputs))
    )
    tensor = {"name": "samples", "shape": [1, 1, 1, 1], "datatype": "FP32", "data": [1e39]}
    given = InferRequest.model_validate_json(json.dumps({"inputs": [tensor]}))
    with pytest.raises(ApiError, match="not finite") as raised:
        _computed(given, np.zeros((1, 1, 1, 1), np.float32), model)
    assert raised.value.status == 422
