# SPDX-License-Identifier: Apache-2.0
"""Long work: begun by a request, done in short steps between other requests, and reported when its client asks.

The work is a generator that the worker thread runs. It yields its progress after every step and returns the final
reply. The I/O thread reports progress to the client, and cancels the work, at once, whatever the worker is doing.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Generator
from dataclasses import dataclass

from effigy_protocol.messages import Buffer, Error, Job, Reply, Working

from .refusals import RefusedError, guarded
from .scheduler import MAX_BYTES, MAX_BYTES_IN_ALL

MAX_OF_CLIENT = 4  # jobs that it has begun and whose result it has not been sent
MAX_IN_ALL = 64


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of long work: see ``Working``."""

    share: float
    stage: str
    preview: Buffer | None = None


Steps = Generator[Progress, None, Reply]
"""Long work. Each step should take less than 50 ms: others wait for it."""


@dataclass(slots=True)
class _Work:
    client: bytes
    steps: Steps
    size: int  # bytes that its client sent for it, held until it is done
    reply: Reply  # to the next JobStatus: the progress, or the result
    is_running: bool = True
    is_cancelled: bool = False


class Jobs:
    """The long work of all clients. Thread-safe; ``begin`` and ``step`` are the worker's alone."""

    def __init__(self) -> None:
        self._works: OrderedDict[str, _Work] = OrderedDict()  # whose turn is next first
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Returns the number of unfinished jobs."""
        with self._lock:
            return sum(work.is_running for work in self._works.values())

    def begin(self, client: bytes, steps: Steps, size: int = 0) -> Job:
        """Accepts ``steps`` as a job of the client, whose request had ``size`` bytes.

        Raises RefusedError if the client, or all together, have too many jobs or too many bytes held for them.
        """
        with self._lock:
            for name, work in [(name, work) for name, work in self._works.items() if work.is_cancelled]:
                work.steps.close()
                del self._works[name]
            if too_much := self._too_much(client, size):
                steps.close()
                raise RefusedError("busy", f"{too_much} are under way", "wait for one to end, or cancel it")
            job = secrets.token_hex(8)  # nobody else's client can guess it
            self._works[job] = _Work(client, steps, size, Working(job, 0.0, "waiting"))
        return Job(job)

    def _too_much(self, client: bytes, size: int) -> str:
        """Returns which limit leaves no room for another job of the client; "" if there is room."""
        everyones = list(self._works.values())
        its = [work for work in everyones if work.client == client]
        if len(its) >= MAX_OF_CLIENT:
            return f"{len(its)} long jobs of this client"
        if len(everyones) >= MAX_IN_ALL:
            return f"{len(everyones)} long jobs"
        for works, most, whose in ((its, MAX_BYTES, "this client"), (everyones, MAX_BYTES_IN_ALL, "all clients")):
            if sum(work.size for work in works if work.is_running) + size > most:
                return f"long jobs of {whose} for which {most >> 20} MiB were sent"
        return ""

    def step(self) -> None:
        """Runs one step of the job whose turn it is; does nothing if there is none."""
        with self._lock:
            found = next(((job, work) for job, work in self._works.items() if work.is_running), None)
            if found is None:
                return
            job, work = found
            self._works.move_to_end(job)
        reply = None if work.is_cancelled else guarded("long work", lambda: _run_step(job, work.steps))
        with self._lock:
            if reply is None or work.is_cancelled:
                work.steps.close()
                self._works.pop(job, None)
            else:
                work.reply, work.is_running = reply, isinstance(reply, Working)

    def status(self, client: bytes, job: str) -> Reply:
        """Returns the job's progress or its result. A result is returned once, then the job is forgotten."""
        with self._lock:
            work = self._works.get(job)
            if work is None or work.client != client or work.is_cancelled:
                return Error("unknown-job", f"no job {job[:40]!r} of this client is known here", "begin it again")
            if not work.is_running:
                del self._works[job]
            return work.reply

    def cancel(self, client: bytes, job: str) -> bool:
        """Cancels the client's job; returns whether there was one."""
        with self._lock:
            work = self._works.get(job)
            if work is None or work.client != client or work.is_cancelled:
                return False
            self._end(job, work)
            return True

    def forget(self, client: bytes) -> None:
        """Cancels all jobs of a client that has left."""
        with self._lock:
            for job, work in [(job, work) for job, work in self._works.items() if work.client == client]:
                self._end(job, work)

    def close(self) -> None:
        """Ends all jobs. To be called on the worker thread."""
        with self._lock:
            for work in self._works.values():
                work.steps.close()
            self._works.clear()

    def _end(self, job: str, work: _Work) -> None:
        """Marks a job as cancelled. The worker closes its generator at the next turn, because a running one cannot be
        closed.
        """
        work.is_cancelled = True
        if not work.is_running:
            del self._works[job]


def _run_step(job: str, steps: Steps) -> Reply:
    """Runs the next step; returns its progress, or the reply that the work ends with."""
    try:
        progress = next(steps)
    except StopIteration as end:
        reply: Reply = end.value
        return reply
    return Working(job, progress.share, progress.stage, progress.preview)
