"""The pages that watch a job: messages in order, and of frames only the newest, when it can be drawn."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from convnet.studio.channel import Message

FRAME_SECONDS = 0.1
"""The shortest interval of frames."""
MOST_WAITING = 5000
"""Messages that may wait for a page; a slower one is disconnected and starts again."""

Ask = Callable[..., None]
"""Sends a request to the training process: a verb and its content."""


class Watcher:
    """The messages that wait to be sent to a page.

    Attributes:
        wanted: The layers and kinds that the page shows.
        image: The image that it shows.
        ready: Whether it has drawn the last frame.
        overrun: Whether it is too slow.
    """

    def __init__(self) -> None:
        self.wanted: set[tuple[str, str]] = set()
        self.image = 0
        self.ready = False
        self.overrun = False
        self._texts: deque[dict[str, Any]] = deque()
        self._frame: bytes | None = None
        self._filled = asyncio.Event()

    def put(self, message: Message) -> None:
        """Add a message; a frame replaces one that was not sent yet."""
        if isinstance(message, bytes):
            self._frame = message
        elif len(self._texts) < MOST_WAITING:
            self._texts.append(message)
        else:
            self.overrun = True
        self._filled.set()

    async def get(self) -> Message | None:
        """The next message to send; None if the page is too slow."""
        while not self.overrun:
            if self._texts:
                return self._texts.popleft()
            if self._frame is not None:
                frame, self._frame = self._frame, None
                return frame
            self._filled.clear()
            await self._filled.wait()
        return None


class Audience:
    """All pages that watch a job.

    Args:
        ask: Sends a request to the training process.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._watchers: set[Watcher] = set()
        self._outstanding = self._planned = False
        self._asked_at = 0.0
        self._image = 0
        self._watched: tuple[list[tuple[str, str]], int] = ([], 0)

    def join(self, watcher: Watcher) -> None:
        """Add a page."""
        self._watchers.add(watcher)

    def leave(self, watcher: Watcher) -> None:
        """Remove a page."""
        self._watchers.discard(watcher)

    def tell(self, message: dict[str, Any]) -> None:
        """Send a message to all pages."""
        for watcher in self._watchers:
            watcher.put(message)

    def show(self, frame: bytes) -> None:
        """Send a frame to the pages that are ready for one."""
        self._outstanding = False
        for watcher in self._watchers:
            if watcher.ready:
                watcher.ready = False
                watcher.put(frame)
        self._plan()

    def restart(self) -> None:
        """Forget the frame that an ended process did not send."""
        self._outstanding, self._watched = False, ([], 0)
        self._plan()

    def drawn(self, watcher: Watcher) -> None:
        """A page has drawn its frame and takes another."""
        watcher.ready = True
        self._plan()

    def watch(self, watcher: Watcher, wanted: set[tuple[str, str]], image: int) -> None:
        """A page shows other layers, or another image."""
        watcher.wanted, watcher.image, watcher.ready = wanted, image, True
        self._image = image
        self._plan()

    def _plan(self) -> None:
        """Ask for a frame when one is due."""
        wanting = any(watcher.ready and watcher.wanted for watcher in self._watchers)
        if not wanting or self._outstanding or self._planned:
            return
        self._planned = True
        loop = asyncio.get_running_loop()
        loop.call_later(max(0.0, self._asked_at + FRAME_SECONDS - loop.time()), self._request)

    def _request(self) -> None:
        self._planned = False
        wanted = sorted({pair for watcher in self._watchers for pair in watcher.wanted})
        if not wanted:
            return
        if (wanted, self._image) != self._watched:
            self._watched = (wanted, self._image)
            self._ask("watch", wanted=wanted, image=self._image)
        self._outstanding, self._asked_at = True, asyncio.get_running_loop().time()
        self._ask("frame")
