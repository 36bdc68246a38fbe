"""`JobQueue`: trains jobs one after the other, each in a process of its own."""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from convnet.errors import RunError
from convnet.studio.channel import Message, receive_message
from convnet.studio.job import ENDED, Job

logger = logging.getLogger(__name__)

REPLY_SECONDS = 60.0
STOP_SECONDS = 60.0
"""How long a training process may take to save and end."""


class JobQueue:
    """Trains one job, or one race, at a time, each in a process of its own.

    Args:
        log: The file that receives what the processes print.
    """

    def __init__(self, log: Path) -> None:
        self.jobs: dict[int, Job] = {}
        self._log = log
        self.start = secrets.token_hex(8)
        """Changes when the studio is started again."""
        self._numbers = itertools.count(1)
        self._requests = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False
        self._spare: asyncio.subprocess.Process | None = None

    async def open(self) -> None:
        """Start a process in advance, because importing torch takes seconds."""
        if self._spare is None and not self._closing:
            self._spare = await self._start_process()

    async def _start_process(self) -> asyncio.subprocess.Process:
        """A training process that waits for its order."""
        with self._log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "convnet.studio.worker",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )

    async def _take_process(self) -> asyncio.subprocess.Process:
        """The process that was started in advance, or a new one."""
        spare, self._spare = self._spare, None
        if spare is not None and spare.returncode is None:
            return spare
        return await self._start_process()

    def submit(self, orders: Sequence[tuple[dict[str, Any], str]]) -> list[Job]:
        """Add a job, or the jobs of a race, which start together.

        Args:
            orders: For each, the order for the process and the equivalent command.
        """
        numbers = [next(self._numbers) for _ in orders]
        jobs = [
            Job(number, numbers[0], order, command, paused=bool(order.get("paused")))
            for number, (order, command) in zip(numbers, orders, strict=True)
        ]
        self.jobs |= {job.number: job for job in jobs}
        self._start_next()
        return jobs

    def __getitem__(self, number: int) -> Job:
        """A job.

        Raises:
            KeyError: There is none of that number.
        """
        return self.jobs[number]

    def training(self, run: Path) -> Job | None:
        """The job that trains a run, or waits for it."""
        active = (job for job in self.jobs.values() if job.state not in ENDED and job.run is not None)
        return next((job for job in active if Path(str(job.run)).resolve() == run.resolve()), None)

    def _start_next(self) -> None:
        active = [job for job in self.jobs.values() if job.state not in (*ENDED, "queued")]
        waiting = [job for job in self.jobs.values() if job.state == "queued"]
        if active or not waiting or self._closing:
            return
        started = [job for job in waiting if job.group == waiting[0].group]
        for job in started:
            job.state = "preparing"
            task = asyncio.get_running_loop().create_task(self._run(job))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, job: Job) -> None:
        """Train a job to its end."""
        try:
            job.process = await self._take_process()
            job.tell_state()
            job.write(**job.order)
            assert job.process.stdout is not None
            while (message := await receive_message(job.process.stdout)) is not None:
                self._take(job, message)
            status = await job.process.wait()
            if job.state not in ENDED:
                job.state, job.message = "failed", _died(status, job.run)
        except OSError as error:
            job.state, job.message = "failed", f"the training process cannot be started: {error}"
        finally:
            for reply in job.replies.values():
                if not reply.done():
                    reply.set_result({"error": "training has ended"})
            job.replies.clear()
            if job.process is not None and job.process.returncode is None:
                job.process.kill()
            job.process = None
            if job.state not in ENDED:
                job.state = "stopped"
            job.paused = False
            job.tell_state()
            self._start_next()
            await self.open()

    def _take(self, job: Job, message: Message) -> None:
        """Store a message of the process, and pass it on."""
        if isinstance(message, bytes):
            if job.images is None and (job.facts or {}).get("images"):
                job.images = message  # the first binary message of a job on images
                job.audience.tell({"type": "images"})
            else:
                job.audience.show(message)
            return
        kind = message["type"]
        if kind == "reply":
            reply = job.replies.pop(message["to"], None)
            if reply is not None and not reply.done():
                reply.set_result(message)
            return
        if kind == "started":
            job.facts, job.state = message, "running"
            job.audience.tell(job.snapshot())
            job.audience.restart()
            return
        if kind == "ended":
            job.state, job.message = message["state"], message.get("message", "")
            job.result = message.get("result")
            return  # the state is told when the process has ended
        self._store(job, kind, message)
        if kind == "change":
            message = {**message, "rows": job.changes, "command": job.equivalent}
        job.audience.tell(message)

    def _store(self, job: Job, kind: str, message: dict[str, Any]) -> None:
        if kind == "history":
            job.steps, job.epochs, job.changes = message["steps"], message["epochs"], message["changes"]
        elif kind == "steps":
            job.steps += message["rows"]
        elif kind == "epoch":
            job.epochs.append(message["row"])
        elif kind == "change":
            if message["row"] not in job.changes:
                job.changes.append(message["row"])
            if job.facts is not None and "recipe" in message:
                job.facts |= {name: message[name] for name in ("recipe", "changeable")}
        elif kind == "answers":
            job.answers = message
        elif kind == "log":
            job.log = [*job.log[-200:], message["text"]]

    def ask(self, job: Job, verb: str, **content: Any) -> None:
        """Send a request to the process of a job.

        Raises:
            RunError: The job is not running.
        """
        if job.state == "queued" and verb == "stop":
            job.state, job.message = "stopped", "removed from the queue"
            job.tell_state()
            return
        if job.process is None:
            raise RunError(f"job {job.number} is {job.state}")
        job.write(verb, **content)
        if verb in ("pause", "step", "resume"):
            job.paused = verb != "resume"
            job.tell_state()

    async def change(self, job: Job, name: str, value: Any) -> None:
        """Change a field of the recipe of a running job.

        Raises:
            RunError: The job is not running, or the change is not possible.
        """
        if job.process is None:
            raise RunError(f"job {job.number} is {job.state}; '{name}' cannot be changed")
        number = next(self._requests)
        reply = asyncio.get_running_loop().create_future()
        job.replies[number] = reply
        try:
            job.write("change", id=number, field=name, value=value)
        except ValueError as error:
            raise RunError(f"'{name}': not a number that can be stored: {error}") from error
        try:
            answer = await asyncio.wait_for(reply, REPLY_SECONDS)
        except TimeoutError:
            raise RunError(f"'{name}' was not changed: training does not answer") from None
        if answer["error"] is not None:
            raise RunError(answer["error"])

    async def close(self) -> None:
        """Stop all jobs; their runs can be resumed."""
        self._closing = True
        for job in self.jobs.values():
            if job.state == "queued":
                logger.info("not started: %s", job.command)
        if self._spare is not None and self._spare.returncode is None:
            self._spare.kill()
            await self._spare.wait()
        for job in self.jobs.values():
            if job.process is not None and job.process.stdin is not None:
                job.process.stdin.close()  # its end asks the process to save and stop
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=STOP_SECONDS)
            for job in self.jobs.values():
                if late and job.process is not None:
                    job.process.kill()


def _died(status: int, run: str | None) -> str:
    """A message for a process that ended without a final message."""
    how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
    way_out = f"; continue with: convnet resume {run}" if run else ""
    return f"the training process {how}{' (out of memory?)' if status == -9 else ''}{way_out}"
