# SPDX-License-Identifier: Apache-2.0
"""The seam between a link and whatever carries its messages: ZeroMQ, or a service in this very process."""

from __future__ import annotations

import contextlib
import queue
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import zmq

from effigy_protocol import CURVE_BYTES, REPLY_LIMITS
from effigy_protocol.connection import Connection
from effigy_protocol.messages import Buffer

_LOST = zmq.EVENT_DISCONNECTED | zmq.EVENT_CLOSED
_REFUSED = zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_AUTH

Frames = Sequence[Buffer]  # one message: its header and its payload


class ClosedError(Exception):
    """The other side has closed the connection, or nothing listens there."""


class ForeignError(ClosedError):
    """What listens there is not the service of the connection: it does not have the service's key."""


class UnreachableError(Exception):
    """An address that cannot be connected to; says why."""


class Transport(Protocol):
    """A connection to one service. One thread uses it; ``wake`` alone may be called from any."""

    def send(self, frames: Frames) -> None:
        """Sends a message; returns at once. Raises ClosedError."""

    def receive(self, seconds: float) -> Frames | None:
        """The next message; None when none came within ``seconds``, or on ``wake``.

        Raises ClosedError, or ForeignError.
        """

    def wake(self) -> None:
        """Has a ``receive`` that waits return."""

    def close(self) -> None:
        """Frees everything; safe to call twice."""


Connect = Callable[[Connection], Transport]


class ZeroMQ:
    """A DEALER socket to ``connection``'s endpoint, which is never connected to a second time."""

    def __init__(self, connection: Connection) -> None:
        """Raises UnreachableError."""
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._context.linger = 0  # before any socket: else a dead peer would hold up term()
        self._waker, self._wake_sender = socket.socketpair()
        self._waker.setblocking(False)
        self._wake_sender.setblocking(False)
        self._socket = self._context.socket(zmq.DEALER)
        self._monitor = self._socket.get_monitor_socket(_LOST | _REFUSED)
        self._socket.setsockopt(zmq.MAXMSGSIZE, REPLY_LIMITS.frame_bytes + CURVE_BYTES)
        self._socket.set_hwm(0)  # no answer is ever dropped
        self._socket.setsockopt(zmq.RECONNECT_IVL, -1)  # a lost connection is told, and another one looked for
        self._poller = zmq.Poller()
        for source in (self._socket, self._monitor, self._waker):
            self._poller.register(source, zmq.POLLIN)
        try:
            _set_keys(self._socket, connection)
            self._socket.connect(connection.endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise UnreachableError(f"{connection.endpoint} cannot be connected to ({error.strerror})") from None

    def send(self, frames: Frames) -> None:
        try:
            self._socket.send_multipart(list(frames), zmq.NOBLOCK, copy=False)
        except zmq.Again:  # a connection that is closed and not made again would be waited for without end
            raise ClosedError from None

    def receive(self, seconds: float) -> Frames | None:
        if not self._socket.poll(0):
            if seconds == 0:
                return None
            ready = dict(self._poller.poll(int(1e3 * seconds)))
            if self._waker.fileno() in ready:
                with contextlib.suppress(OSError):
                    self._waker.recv(4096)
            if self._socket not in ready:
                if self._monitor in ready:
                    raise self._loss()
                return None
        return [frame.buffer for frame in self._socket.recv_multipart(copy=False)]

    def _loss(self) -> ClosedError:
        """What the socket's monitor says has happened."""
        while self._monitor.poll(0):
            what, _where = self._monitor.recv_multipart()  # zmq's own reader of it would import asyncio
            event, _detail = struct.unpack("=HI", what)
            if event & _REFUSED:
                return ForeignError()
        return ClosedError()

    def wake(self) -> None:
        with contextlib.suppress(OSError):  # a full pipe has woken the thread already
            self._wake_sender.send(b"\0")

    def close(self) -> None:
        if not self._socket.closed:
            self._socket.disable_monitor()
            self._monitor.close()
            self._socket.close()
            self._context.term()
            self._waker.close()
            self._wake_sender.close()


def _set_keys(socket: zmq.Socket[bytes], connection: Connection) -> None:
    """Has each side prove that it has the connection file's keys, before the other takes a message."""
    secret = connection.client_key.encode()
    socket.curve_publickey, socket.curve_secretkey = zmq.curve_public(secret), secret
    socket.curve_serverkey = connection.service_key.encode()


class InProcess:
    """A service that is a function: it is given a message, on the thread that sends, and returns its answers.

    Answers that take longer it can ``deliver`` later, from any thread.
    """

    def __init__(self, answer: Callable[[Frames], Iterable[Frames]]) -> None:
        self._answer = answer
        self._answers: deque[Frames] = deque()
        self._woken: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._is_closed = False

    def send(self, frames: Frames) -> None:
        if self._is_closed:
            raise ClosedError
        self._answers.extend(self._answer(frames))

    def deliver(self, frames: Frames) -> None:
        """An answer to what was sent before."""
        self._answers.append(frames)
        self.wake()

    def receive(self, seconds: float) -> Frames | None:
        if not self._answers and seconds > 0 and not self._is_closed:
            with contextlib.suppress(queue.Empty):
                self._woken.get(timeout=seconds)
        if self._answers:
            return self._answers.popleft()
        if self._is_closed:
            raise ClosedError
        return None

    def wake(self) -> None:
        self._woken.put(None)

    def close(self) -> None:
        """Also for the service's side, which ends the connection so."""
        self._is_closed = True
        self.wake()
