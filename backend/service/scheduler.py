# SPDX-License-Identifier: Apache-2.0
"""Which request the worker does next.

Everything that must not be lost (finals, opening and releasing identities) is done in the order of its
arrival. Of previews only the newest of each client and stream waits. When both kinds wait they take turns,
so that a long render does not freeze a viewport and a viewport does not hold up a render.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from protocol.messages import Encoding, OpenIdentity, Release, Synthesize

MAX_WAITING = 4096  # ordered jobs of one client
MAX_STREAMS = 64  # of one client: previews that wait at once


@dataclass(frozen=True, slots=True)
class Forget:
    """The service's own job: releases every identity of a client that left. Nobody is answered."""


Work = OpenIdentity | Release | Synthesize | Forget


@dataclass(frozen=True, slots=True)
class Job:
    """A request that waits for the worker."""

    client: bytes
    id: int
    request: Work
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
    """A client has MAX_WAITING jobs or MAX_STREAMS previews waiting already."""


class Scheduler:
    """The waiting jobs. Thread-safe: the I/O thread adds and cancels, the worker takes."""

    def __init__(self) -> None:
        self._ordered: deque[Job] = deque()
        self._previews: OrderedDict[tuple[bytes, int], Job] = OrderedDict()
        self._preview_next = True
        self._closed = False
        self._changed = threading.Condition()

    def __len__(self) -> int:
        with self._changed:
            return len(self._ordered) + len(self._previews)

    def add(self, job: Job) -> Job | None:
        """Lets ``job`` wait; returns the preview whose place it took. Raises QueueFullError."""
        with self._changed:
            superseded = None
            if job.is_preview and isinstance(job.request, Synthesize):
                # The newer preview keeps the older one's place in the queue of streams.
                stream = (job.client, job.request.stream)
                superseded = self._previews.get(stream)
                if superseded is None and sum(client == job.client for client, _ in self._previews) >= MAX_STREAMS:
                    raise QueueFullError
                self._previews[stream] = job
            else:
                if sum(waiting.client == job.client for waiting in self._ordered) >= MAX_WAITING:
                    raise QueueFullError
                self._ordered.append(job)
            self._changed.notify()
            return superseded

    def take(self) -> Job | None:
        """The next job, waiting for one; None when closed."""
        with self._changed:
            while not (self._closed or self._ordered or self._previews):
                self._changed.wait()
            if self._closed:
                return None
            if self._previews and (self._preview_next or not self._ordered):
                self._preview_next = False
                return self._previews.popitem(last=False)[1]
            self._preview_next = True
            return self._ordered.popleft()

    def take_finals(self, encoding: Encoding, most: int) -> list[Job]:
        """The finals in that encoding, at most so many, that are next in order; does not wait for any."""
        taken: list[Job] = []
        with self._changed:
            while len(taken) < most and self._ordered and self._ordered[0].is_final_in(encoding):
                taken.append(self._ordered.popleft())
        return taken

    def waits(self, client: bytes) -> bool:
        """Whether anything of the client still waits."""
        with self._changed:
            return any(job.client == client for job in (*self._ordered, *self._previews.values()))

    def cancel(self, client: bytes, ids: tuple[int, ...]) -> list[Job]:
        """Removes the client's waiting pictures with these ids (all of them if empty) and returns them."""

        def hit(job: Job) -> bool:
            return job.client == client and isinstance(job.request, Synthesize) and (not ids or job.id in ids)

        return self._remove(hit)

    def forget(self, client: bytes) -> None:
        """Lets the worker release, after what still runs, the identities of a client that left."""
        with self._changed:
            self._ordered.append(Job(client, 0, Forget()))
            self._changed.notify()

    def close(self) -> list[Job]:
        """Ends ``take`` for good; returns what was still waiting."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        return self._remove(lambda job: True)

    def _remove(self, hit: Callable[[Job], bool]) -> list[Job]:
        with self._changed:
            removed = [job for job in (*self._ordered, *self._previews.values()) if hit(job)]
            self._ordered = deque(job for job in self._ordered if not hit(job))
            self._previews = OrderedDict((key, job) for key, job in self._previews.items() if not hit(job))
        return removed
