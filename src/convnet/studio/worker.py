"""The training process of the studio: trains or resumes a run, and takes requests meanwhile."""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
import traceback
from pathlib import Path
from typing import IO, Any

from convnet.errors import ConvnetError, InterruptedRunError, in_one_line
from convnet.recipes.changes import changeable_fields
from convnet.recipes.resolve import resolve
from convnet.runs import Change
from convnet.settings import use_settings
from convnet.studio.channel import Message, packed, read_message
from convnet.studio.live import Live
from convnet.workflows.control import Control
from convnet.workflows.run import Run
from convnet.workflows.train import resume, train


class Outbox:
    """Sends messages in another thread, so that a slow reader does not slow down training."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._waiting: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def send(self, message: Message) -> None:
        """Send a message without waiting; one that cannot be encoded is reported and left out."""
        try:
            self._waiting.put(packed(message))
        except (TypeError, ValueError) as error:
            print(f"a message was not sent: {in_one_line(error)}", file=sys.stderr)

    def close(self) -> None:
        """Wait until everything is sent."""
        self._waiting.put(None)
        self._thread.join(10)

    def _run(self) -> None:
        while (message := self._waiting.get()) is not None:
            try:
                self._stream.write(message)
                self._stream.flush()
            except (OSError, ValueError):  # the server has ended
                return


class LogSender(logging.Handler):
    """Sends log messages to the page."""

    def __init__(self, outbox: Outbox) -> None:
        super().__init__(logging.INFO)
        self.outbox = outbox

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record."""
        self.outbox.send({"type": "log", "level": record.levelname, "text": record.getMessage()})


def main() -> None:
    """Carry out the order that the first message holds."""
    outbox = Outbox(os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)  # whatever prints goes to standard error
    order = read_message(sys.stdin.buffer)
    if not isinstance(order, dict):
        return
    logger = logging.getLogger("convnet")
    logger.handlers, logger.propagate = [LogSender(outbox)], False
    logger.setLevel(logging.INFO)
    try:
        outbox.send(_carry_out(order, outbox))
    except InterruptedRunError as stop:
        outbox.send({"type": "ended", "state": "stopped", "message": str(stop)})
    except ConvnetError as error:
        outbox.send({"type": "ended", "state": "failed", "message": str(error)})
    except Exception as error:  # a user's own code may raise anything; the page shows it
        traceback.print_exc()
        message = f"{type(error).__name__}: {in_one_line(error)}"
        outbox.send({"type": "ended", "state": "failed", "message": message})
    outbox.close()
    os._exit(0)  # the thread that reads requests waits for input


def _carry_out(order: dict[str, Any], outbox: Outbox) -> dict[str, Any]:
    """Train or resume; returns the last message."""

    def told(change: Change) -> None:
        row, recipe = [change.step, change.field, change.value], control.recipe
        facts = (
            {} if recipe is None else {"recipe": recipe.to_dict(), "changeable": changeable_fields(recipe)}
        )
        outbox.send({"type": "change", "row": row, **facts})

    control = Control(told=told)
    live = Live(outbox.send, control)
    control.before_wait = live.flush
    if order.get("paused"):
        control.pause()
    threading.Thread(target=_take_requests, args=(control, live, outbox), daemon=True).start()
    try:
        chosen = {name: order.get(name) for name in ("threads", "device", "data_dir")}
        with use_settings(**chosen):
            run = _train(order, control, live)
    finally:
        live.flush()
    return {"type": "ended", "state": "finished", "run": str(run.path), "result": run.result}


def _train(order: dict[str, Any], control: Control, live: Live) -> Run:
    """Train a new run, or resume one."""
    if order["verb"] == "resume":
        return resume(Path(order["run"]), listeners=[live], control=control)
    found = resolve(order["word"], order["changes"])
    return train(found.recipe, below=Path(order["runs"]), data=found.data, listeners=[live], control=control)


def _take_requests(control: Control, live: Live, outbox: Outbox) -> None:
    """Pass requests on until the server ends; then stop training, which can be resumed."""
    acts = {
        "pause": control.pause,
        "step": lambda: control.pause(after=1),
        "resume": control.resume,
        "save": control.save,
        "stop": control.stop,
        "finish": control.finish,
        "frame": live.ask_for_frame,
    }
    while isinstance(request := read_message(sys.stdin.buffer), dict):
        verb, error = request.get("verb"), None
        try:
            if verb == "change":
                control.change(request["field"], request["value"])
            elif verb == "watch":
                live.watch({(layer, kind) for layer, kind in request["wanted"]}, request["image"])
            elif verb in acts:
                acts[verb]()
        except ConvnetError as found:
            error = str(found)
        except Exception as found:  # the thread must live, or training could not be stopped
            error = f"{type(found).__name__}: {in_one_line(found)}"
        if "id" in request:
            outbox.send({"type": "reply", "to": request["id"], "error": error})
    control.stop()


if __name__ == "__main__":
    main()
