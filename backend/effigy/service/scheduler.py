# SPDX-License-Identifier: Apache-2.0
"""Decides which request the worker does next.

Requests that must not be lost (finals, opening and releasing identities) are done in the order in which each client
sent them; clients take turns. Of previews, only the newest of each client and stream waits; there, too, clients take
turns. When both kinds wait, they alternate, so that a long render does not freeze a viewport and a viewport does not
stall a render. What waits is limited in number and bytes, for each client and in all.

The cost of a call does not depend on how much waits; ``cancel`` and ``drop`` cost what they remove.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from dataclasses import dataclass, field

from effigy_protocol.messages import Encoding, OpenIdentity, ReadPicture, Release, Synthesize

MAX_WAITING = 4096  # ordered jobs of one client
MAX_STREAMS = 64  # of one client: previews that wait at once
MAX_BYTES = 64 * 2**20  # of what one client's waiting requests hold
MAX_BYTES_IN_ALL = 256 * 2**20
_JOB_BYTES = 1024  # of a waiting request's own objects, beside what was sent
_FORGET_ID = -1  # which no request has


@dataclass(frozen=True, slots=True)
class Forget:
    """The service's own job: releases every identity of a client that left. Nobody is answered."""


Work = OpenIdentity | ReadPicture | Release | Synthesize | Forget


@dataclass(frozen=True, slots=True)
class Job:
    """A request that waits for the worker."""

    client: bytes
    id: int
    request: Work
    size: int = 0  # bytes that were sent
    arrived: float = field(default_factory=time.monotonic)

    @property
    def is_preview(self) -> bool:
        return isinstance(self.request, Synthesize) and self.request.purpose == "preview"

    def is_final_in(self, encoding: Encoding) -> bool:
        return (
            isinstance(self.request, Synthesize)
            and self.request.purpose == "final"
            and self.request.encoding == encoding
        )


class QueueFullError(Exception):
    """A client, or all together, have reached a limit of waiting requests; the message says which."""


class _Turns:
    """Jobs of many clients. Each client's wait in the order in which their keys came; the clients take turns."""

    def __init__(self) -> None:
        self._jobs: dict[bytes, OrderedDict[int, Job]] = {}
        self._turns: OrderedDict[bytes, None] = OrderedDict()  # clients with jobs that are not held, the next one first
        self._held: set[bytes] = set()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def of(self, client: bytes) -> OrderedDict[int, Job]:
        """Returns the client's waiting jobs, by key."""
        return self._jobs.get(client, OrderedDict())

    def put(self, key: int, job: Job) -> None:
        """Lets ``job`` wait behind the client's others, or in the place of the one with the same key."""
        jobs = self._jobs.setdefault(job.client, OrderedDict())
        self._count += key not in jobs
        jobs[key] = job
        if job.client not in self._held:
            self._turns.setdefault(job.client)

    def next(self) -> Job | None:
        """Returns the job whose turn it is, without taking it."""
        client = next(iter(self._turns), None)
        return None if client is None else next(iter(self._jobs[client].values()))

    def take(self) -> Job:
        """Removes and returns the job whose turn it is; its client's next turn comes after the others'."""
        client = next(iter(self._turns))
        job = self.remove(client, next(iter(self._jobs[client])))
        if client in self._turns:
            self._turns.move_to_end(client)
        return job

    def remove(self, client: bytes, key: int) -> Job:
        job = self._jobs[client].pop(key)
        self._count -= 1
        if not self._jobs[client]:
            del self._jobs[client]
            self._turns.pop(client, None)
        return job

    def hold(self, client: bytes) -> None:
        """Passes the client over until ``resume``."""
        self._held.add(client)
        self._turns.pop(client, None)

    def resume(self, client: bytes) -> None:
        self._held.discard(client)
        if client in self._jobs:
            self._turns.setdefault(client)

    def clear(self) -> list[Job]:
        jobs = [job for jobs in self._jobs.values() for job in jobs.values()]
        self._jobs.clear()
        self._turns.clear()
        self._count = 0
        return jobs


class Scheduler:
    """The waiting jobs. Thread-safe: the I/O thread adds, cancels and drops, the worker takes."""

    def __init__(self) -> None:
        self._ordered = _Turns()  # by request id
        self._previews = _Turns()  # by stream
        self._bytes: Counter[bytes] = Counter()  # of each client
        self._bytes_in_all = 0
        self._preview_next = True
        self._closed = False
        self._changed = threading.Condition()

    def __len__(self) -> int:
        with self._changed:
            return len(self._ordered) + len(self._previews)

    def add(self, job: Job) -> Job | None:
        """Queues ``job``; returns the older preview that it replaces, if any. Raises QueueFullError."""
        with self._changed:
            superseded = None
            if job.is_preview and isinstance(job.request, Synthesize):
                # The newer preview keeps the older one's place in the queue of streams.
                waiting, turns, key = self._previews.of(job.client), self._previews, job.request.stream
                superseded = waiting.get(key)
                if superseded is None and len(waiting) >= MAX_STREAMS:
                    raise QueueFullError(f"previews of {MAX_STREAMS} streams of this client wait")
            else:
                waiting, turns, key = self._ordered.of(job.client), self._ordered, job.id
                if len(waiting) >= MAX_WAITING:
                    raise QueueFullError(f"{MAX_WAITING} requests of this client wait")
                if key in waiting:
                    raise QueueFullError(f"a request with the id {key} waits already")
            self._count(job, superseded)
            turns.put(key, job)
            self._changed.notify()
            return superseded

    @property
    def is_closed(self) -> bool:
        return self._closed

    def take(self, *, wait: bool = True) -> Job | None:
        """Takes the next job, and waits for one if ``wait``; None if it is closed or there is none."""
        with self._changed:
            while not (self._closed or self._ordered.next() or self._previews.next()):
                if not wait:
                    return None
                self._changed.wait()
            if self._closed:
                return None
            is_preview = bool(self._previews.next() and (self._preview_next or not self._ordered.next()))
            self._preview_next = not is_preview
            return self._taken(self._previews if is_preview else self._ordered)

    def take_finals(self, encoding: Encoding, most: int) -> list[Job]:
        """Takes up to so many further finals in that encoding that are next in order; does not wait."""
        taken: list[Job] = []
        with self._changed:
            while len(taken) < most and (job := self._ordered.next()) and job.is_final_in(encoding):
                taken.append(self._taken(self._ordered))
        return taken

    def cancel(self, client: bytes, ids: tuple[int, ...]) -> list[Job]:
        """Removes and returns the client's waiting pictures with these ids; all of them if ``ids`` is empty."""
        with self._changed:
            ordered, previews = self._ordered.of(client), self._previews.of(client)
            keys = [key for key in ids if key in ordered] if ids else list(ordered)
            pictures = [key for key in dict.fromkeys(keys) if isinstance(ordered[key].request, Synthesize)]
            streams = [stream for stream, job in previews.items() if not ids or job.id in ids]
            jobs = [self._ordered.remove(client, key) for key in pictures]
            jobs += [self._previews.remove(client, stream) for stream in streams]
            for job in jobs:
                self._uncount(job)
        return jobs

    def drop(self, client: bytes) -> list[Job]:
        """Removes and returns everything that waits of a client that has left; the worker then releases its
        identities.
        """
        with self._changed:
            jobs = [self._ordered.remove(client, key) for key in list(self._ordered.of(client))]
            jobs += [self._previews.remove(client, stream) for stream in list(self._previews.of(client))]
            for job in jobs:
                self._uncount(job)
            self.resume(client)
            self._ordered.put(_FORGET_ID, Job(client, _FORGET_ID, Forget()))
            self._changed.notify()
        return [job for job in jobs if not isinstance(job.request, Forget)]

    def hold(self, client: bytes) -> None:
        """Skips a client that does not take its answers, until ``resume``."""
        with self._changed:
            self._ordered.hold(client)
            self._previews.hold(client)

    def resume(self, client: bytes) -> None:
        with self._changed:
            self._ordered.resume(client)
            self._previews.resume(client)
            self._changed.notify()

    def close(self) -> list[Job]:
        """Ends ``take`` for good; returns what was still waiting."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            jobs = self._ordered.clear() + self._previews.clear()
            self._bytes.clear()
            self._bytes_in_all = 0
        return [job for job in jobs if not isinstance(job.request, Forget)]

    def _taken(self, turns: _Turns) -> Job:
        job = turns.take()
        self._uncount(job)
        return job

    def _count(self, job: Job, superseded: Job | None) -> None:
        """Books what ``job`` holds, in place of the one that it supersedes. Raises QueueFullError."""
        more = _bytes(job) - (_bytes(superseded) if superseded else 0)
        if self._bytes[job.client] + more > MAX_BYTES:
            raise QueueFullError(f"requests of {MAX_BYTES >> 20} MiB of this client wait")
        if self._bytes_in_all + more > MAX_BYTES_IN_ALL:
            raise QueueFullError(f"requests of {MAX_BYTES_IN_ALL >> 20} MiB of all clients wait")
        self._bytes[job.client] += more
        self._bytes_in_all += more

    def _uncount(self, job: Job) -> None:
        if isinstance(job.request, Forget):
            return
        self._bytes[job.client] -= _bytes(job)
        self._bytes_in_all -= _bytes(job)
        if not self._bytes[job.client]:
            del self._bytes[job.client]


def _bytes(job: Job) -> int:
    return job.size + _JOB_BYTES
