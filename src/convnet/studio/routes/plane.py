"""The socket of the view Plane: points and settings in, pictures out."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from fastapi import APIRouter, WebSocket
from pydantic import ValidationError
from starlette.websockets import WebSocketDisconnect

from convnet.studio.plane_session import PlaneOrder, PlaneSession

router = APIRouter(prefix="/api")
FRAME_SECONDS = 0.06


@router.websocket("/plane")
async def plane(socket: WebSocket) -> None:
    """Train on points while the page shows it; ends with the page."""
    await socket.accept()
    orders: asyncio.Queue[PlaneOrder] = asyncio.Queue()
    drawn = asyncio.Event()
    trainer = asyncio.create_task(_train(socket, orders, drawn))
    try:
        while True:
            text = await socket.receive_text()
            if text == "drawn":
                drawn.set()
                continue
            try:
                orders.put_nowait(PlaneOrder.model_validate_json(text))
            except ValidationError as error:
                first = error.errors()[0]
                place = ".".join(map(str, first["loc"]))
                await socket.send_json({"type": "error", "error": f"{place}: {first['msg']}"})
    except (WebSocketDisconnect, RuntimeError, KeyError):
        pass  # the page is gone, or sent bytes
    finally:
        trainer.cancel()
        with suppress(asyncio.CancelledError):
            await trainer


async def _train(socket: WebSocket, orders: asyncio.Queue[PlaneOrder], drawn: asyncio.Event) -> None:
    """Train and send pictures, one when the last was drawn."""
    session = PlaneSession(await orders.get())
    with suppress(WebSocketDisconnect, OSError):
        while True:
            while not orders.empty():
                session.take(orders.get_nowait())
            drawn.clear()
            await socket.send_bytes(await asyncio.to_thread(session.advance))
            if session.order.paused:
                session.take(await orders.get())
            else:
                await drawn.wait()
                await asyncio.sleep(FRAME_SECONDS)
