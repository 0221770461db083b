# SPDX-License-Identifier: Apache-2.0
"""Answers that clients have not taken yet. ZeroMQ is given only a few for each client in advance; the others wait here,
where they are counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import zmq

MAX_UNREAD = 64 * 2**20  # bytes of one client's answers that wait here
MAX_UNREAD_IN_ALL = 256 * 2**20
_AHEAD = 16  # answers of a client inside ZeroMQ; more than a client that reads ever has waiting
_ANSWER_BYTES = 1024  # of a waiting answer's own objects


class LeftError(Exception):
    """The client is no longer connected."""


class Outbox:
    """Sends answers, in order for each client, without ever waiting for a client."""

    def __init__(self, router: zmq.Socket[bytes]) -> None:
        """``router`` is not bound yet."""
        router.setsockopt(zmq.SNDHWM, _AHEAD)
        router.setsockopt(zmq.ROUTER_MANDATORY, 1)  # says who has left, and who is full
        self._router = router
        self._waiting: dict[bytes, deque[tuple[Sequence[Any], int]]] = {}
        self._bytes: dict[bytes, int] = {}
        self._bytes_in_all = 0

    @property
    def is_empty(self) -> bool:
        return not self._waiting

    def is_full(self, client: bytes) -> bool:
        """Returns whether the limit of the client's waiting answers is reached. ``send`` accepts more all the same:
        check here first.
        """
        unread = self._bytes.get(client, 0)
        return unread > MAX_UNREAD or (unread > 0 and self._bytes_in_all > MAX_UNREAD_IN_ALL)

    def send(self, client: bytes, frames: Sequence[Any]) -> None:
        """Sends ``frames`` as soon as the client takes them. Raises LeftError."""
        if client not in self._waiting and self._sent(client, frames):
            return
        size = _ANSWER_BYTES + sum(len(frame) for frame in frames)
        self._waiting.setdefault(client, deque()).append((frames, size))
        self._bytes[client] = self._bytes.get(client, 0) + size
        self._bytes_in_all += size

    def flush(self) -> Iterator[bytes]:
        """Sends what clients take now; yields the clients that have left."""
        for client in list(self._waiting):
            try:
                self._flush(client)
            except LeftError:
                self.forget(client)
                yield client

    def forget(self, client: bytes) -> None:
        """Discards what waits for a client that has left."""
        self._waiting.pop(client, None)
        self._bytes_in_all -= self._bytes.pop(client, 0)

    def _flush(self, client: bytes) -> None:
        waiting = self._waiting[client]
        while waiting and self._sent(client, waiting[0][0]):
            _, size = waiting.popleft()
            self._bytes[client] -= size
            self._bytes_in_all -= size
        if not waiting:
            self.forget(client)

    def _sent(self, client: bytes, frames: Sequence[Any]) -> bool:
        try:
            self._router.send_multipart([client, *frames], zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno == zmq.EHOSTUNREACH:
                raise LeftError from None
            raise
        return True
