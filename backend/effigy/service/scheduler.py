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

MAX_WAITING = 4096  # ordered requests of one client
MAX_STREAMS = 64  # of one client: previews that wait at once
MAX_BYTES = 64 * 2**20  # of what one client's waiting requests hold
MAX_BYTES_IN_ALL = 256 * 2**20
_QUEUED_BYTES = 1024  # of a waiting request's own objects, beside what was sent
_FORGET_ID = -1  # which no request has


@dataclass(frozen=True, slots=True)
class Forget:
    """The service's own request: releases every identity of a client that left. Nobody is answered."""


Work = OpenIdentity | ReadPicture | Release | Synthesize | Forget


@dataclass(frozen=True, slots=True)
class Queued:
    """A request that waits for the worker, and the client that sent it."""

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
    """Requests of many clients. Each client's wait in the order in which their keys came; the clients take turns."""

    def __init__(self) -> None:
        self._queues: dict[bytes, OrderedDict[int, Queued]] = {}
        self._turns: OrderedDict[bytes, None] = OrderedDict()  # clients that wait and are not held, the next one first
        self._held: set[bytes] = set()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def of(self, client: bytes) -> OrderedDict[int, Queued]:
        """Returns the client's waiting requests, by key."""
        return self._queues.get(client, OrderedDict())

    def put(self, key: int, queued: Queued) -> None:
        """Lets ``queued`` wait behind the client's others, or in the place of the one with the same key."""
        queue = self._queues.setdefault(queued.client, OrderedDict())
        self._count += key not in queue
        queue[key] = queued
        if queued.client not in self._held:
            self._turns.setdefault(queued.client)

    def next(self) -> Queued | None:
        """Returns the request whose turn it is, without taking it."""
        client = next(iter(self._turns), None)
        return None if client is None else next(iter(self._queues[client].values()))

    def take(self) -> Queued:
        """Removes and returns the request whose turn it is; its client's next turn comes after the others'."""
        client = next(iter(self._turns))
        queued = self.remove(client, next(iter(self._queues[client])))
        if client in self._turns:
            self._turns.move_to_end(client)
        return queued

    def remove(self, client: bytes, key: int) -> Queued:
        queued = self._queues[client].pop(key)
        self._count -= 1
        if not self._queues[client]:
            del self._queues[client]
            self._turns.pop(client, None)
        return queued

    def hold(self, client: bytes) -> None:
        """Passes the client over until ``resume``."""
        self._held.add(client)
        self._turns.pop(client, None)

    def resume(self, client: bytes) -> None:
        self._held.discard(client)
        if client in self._queues:
            self._turns.setdefault(client)

    def clear(self) -> list[Queued]:
        left = [queued for queue in self._queues.values() for queued in queue.values()]
        self._queues.clear()
        self._turns.clear()
        self._count = 0
        return left


class Scheduler:
    """The waiting requests. Thread-safe: the I/O thread adds, cancels and drops, the worker takes."""

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

    def add(self, queued: Queued) -> Queued | None:
        """Queues a request; returns the older preview that it replaces, if any. Raises QueueFullError."""
        with self._changed:
            superseded = None
            if queued.is_preview and isinstance(queued.request, Synthesize):
                # The newer preview keeps the older one's place in the queue of streams.
                waiting, turns, key = self._previews.of(queued.client), self._previews, queued.request.stream
                superseded = waiting.get(key)
                if superseded is None and len(waiting) >= MAX_STREAMS:
                    raise QueueFullError(f"previews of {MAX_STREAMS} streams of this client wait")
            else:
                waiting, turns, key = self._ordered.of(queued.client), self._ordered, queued.id
                if len(waiting) >= MAX_WAITING:
                    raise QueueFullError(f"{MAX_WAITING} requests of this client wait")
                if key in waiting:
                    raise QueueFullError(f"a request with the id {key} waits already")
            self._count(queued, superseded)
            turns.put(key, queued)
            self._changed.notify()
            return superseded

    @property
    def is_closed(self) -> bool:
        return self._closed

    def take(self, *, wait: bool = True) -> Queued | None:
        """Takes the next request, and waits for one if ``wait``; None if it is closed or there is none."""
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

    def take_finals(self, encoding: Encoding, most: int) -> list[Queued]:
        """Takes up to so many further finals in that encoding that are next in order; does not wait."""
        taken: list[Queued] = []
        with self._changed:
            while len(taken) < most and (queued := self._ordered.next()) and queued.is_final_in(encoding):
                taken.append(self._taken(self._ordered))
        return taken

    def cancel(self, client: bytes, ids: tuple[int, ...]) -> list[Queued]:
        """Removes and returns the client's waiting pictures with these ids; all of them if ``ids`` is empty."""
        with self._changed:
            ordered, previews = self._ordered.of(client), self._previews.of(client)
            keys = [key for key in ids if key in ordered] if ids else list(ordered)
            pictures = [key for key in dict.fromkeys(keys) if isinstance(ordered[key].request, Synthesize)]
            streams = [stream for stream, queued in previews.items() if not ids or queued.id in ids]
            removed = [self._ordered.remove(client, key) for key in pictures]
            removed += [self._previews.remove(client, stream) for stream in streams]
            for queued in removed:
                self._uncount(queued)
        return removed

    def drop(self, client: bytes) -> list[Queued]:
        """Removes and returns everything that waits of a client that has left; the worker then releases its
        identities.
        """
        with self._changed:
            removed = [self._ordered.remove(client, key) for key in list(self._ordered.of(client))]
            removed += [self._previews.remove(client, stream) for stream in list(self._previews.of(client))]
            for queued in removed:
                self._uncount(queued)
            self.resume(client)
            self._ordered.put(_FORGET_ID, Queued(client, _FORGET_ID, Forget()))
            self._changed.notify()
        return [queued for queued in removed if not isinstance(queued.request, Forget)]

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

    def close(self) -> list[Queued]:
        """Ends ``take`` for good; returns what was still waiting."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            removed = self._ordered.clear() + self._previews.clear()
            self._bytes.clear()
            self._bytes_in_all = 0
        return [queued for queued in removed if not isinstance(queued.request, Forget)]

    def _taken(self, turns: _Turns) -> Queued:
        queued = turns.take()
        self._uncount(queued)
        return queued

    def _count(self, queued: Queued, superseded: Queued | None) -> None:
        """Counts the bytes of ``queued``, less those of the request that it replaces. Raises QueueFullError."""
        more = _bytes(queued) - (_bytes(superseded) if superseded else 0)
        if self._bytes[queued.client] + more > MAX_BYTES:
            raise QueueFullError(f"requests of {MAX_BYTES >> 20} MiB of this client wait")
        if self._bytes_in_all + more > MAX_BYTES_IN_ALL:
            raise QueueFullError(f"requests of {MAX_BYTES_IN_ALL >> 20} MiB of all clients wait")
        self._bytes[queued.client] += more
        self._bytes_in_all += more

    def _uncount(self, queued: Queued) -> None:
        if isinstance(queued.request, Forget):
            return
        self._bytes[queued.client] -= _bytes(queued)
        self._bytes_in_all -= _bytes(queued)
        if not self._bytes[queued.client]:
            del self._bytes[queued.client]


def _bytes(queued: Queued) -> int:
    return queued.size + _QUEUED_BYTES
