"""A network that is trained on points in the plane while they are moved."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from pydantic import ValidationError

from convnet.studio.plane_session import LINES, POINTS_PER_LINE, RESOLUTION, PlaneOrder, PlaneSession
from tests.studio.studio import StudioProcess
from tests.studio.test_inspector import unpacked

CIRCLES = [
    (r * math.cos(a), r * math.sin(a), c) for c, r in ((0, 0.3), (1, 0.9)) for a in np.linspace(0, 6.2, 30)
]


def test_circles_are_separated_and_the_hidden_layers_are_shown() -> None:
    session = PlaneSession(PlaneOrder(points=CIRCLES, hidden=[6, 2], lr=0.03))
    for _ in range(60):
        header, found = unpacked(session.advance())
    assert header["right"] == 60 and header["step"] > 60
    probabilities = found["probabilities", "plane"]
    assert probabilities.shape == (2, RESOLUTION, RESOLUTION)
    assert np.allclose(probabilities.sum(0), 1, atol=1e-5)
    middle = RESOLUTION // 2
    assert probabilities[0, middle, middle] > 0.5 > probabilities[0, middle, RESOLUTION - 9]
    assert found["grid 0", "plane"].shape == (2 * LINES * POINTS_PER_LINE, 6)
    assert found["points 1", "plane"].shape == (60, 2)


def test_points_are_moved_without_new_weights_and_units_change_them() -> None:
    order = PlaneOrder(points=CIRCLES, hidden=[4], seed=3)
    session = PlaneSession(order)
    session.advance()
    model, steps = session.model, session.steps
    session.take(order.model_copy(update={"points": CIRCLES[:40], "l2": 0.1}))
    assert session.model is model and session.steps == steps
    session.take(order.model_copy(update={"hidden": [5]}))
    assert session.model is not model and session.steps == 0
    session.take(order.model_copy(update={"hidden": [], "points": []}))
    header, found = unpacked(session.advance())
    assert header["points"] == 0 and list(found) == [("probabilities", "plane")]


def test_the_picture_is_upright() -> None:
    points = [(0.0, 1.0, 0), (0.1, 0.9, 0), (0.0, -1.0, 1), (0.1, -0.9, 1)]
    session = PlaneSession(PlaneOrder(points=points, hidden=[], lr=0.5))
    for _ in range(10):
        _, found = unpacked(session.advance())
    assert found["probabilities", "plane"][0, 2].min() > 0.5 > found["probabilities", "plane"][0, -3].max()


@pytest.mark.parametrize(
    "wrong",
    [
        {"points": [[0, 0, 9]]},
        {"points": [[math.nan, 0, 0]]},
        {"hidden": [0]},
        {"hidden": [9] * 9},
        {"lr": 0},
        {"x": 1},
    ],
)
def test_orders_are_checked(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PlaneOrder.model_validate({"points": [], "hidden": [], **wrong})


def test_over_a_socket(studio: StudioProcess) -> None:
    with studio.socket("/api/plane") as socket:
        socket.send('{"points": [[0, 0, 9]], "hidden": []}')
        assert "less than" in json.loads(socket.recv(timeout=30))["error"]
        socket.send(PlaneOrder(points=CIRCLES, hidden=[6, 2], lr=0.03).model_dump_json())
        for _ in range(5):
            header, _ = unpacked(socket.recv(timeout=30))  # type: ignore[arg-type]
            socket.send("drawn")
        assert header["step"] > 0 and header["points"] == 60
        paused = PlaneOrder(points=CIRCLES, hidden=[6, 2], lr=0.03, paused=True)
        socket.send(paused.model_dump_json())
        steps = header["step"]
        with pytest.raises(TimeoutError):
            for _ in range(20):
                socket.send("drawn")
                steps = unpacked(socket.recv(timeout=2))[0]["step"]  # type: ignore[arg-type]
        assert steps >= header["step"]
