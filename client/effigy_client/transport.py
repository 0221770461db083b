# SPDX-License-Identifier: Apache-2.0
"""Carries a link's messages: over ZeroMQ, or to a service in the same process."""

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

Frames = Sequence[Buffer]  # a message: its header and its payload frames


class ClosedError(Exception):
    """The other side has closed the connection, or nothing listens there."""


class ForeignError(ClosedError):
    """What listens there does not have the service's key, so it is not the service of the connection."""


class UnreachableError(Exception):
    """An address that cannot be connected to; the message says why."""


class Transport(Protocol):
    """A connection to one service, for use by one thread; only ``wake`` may be called from others."""

    def send(self, frames: Frames) -> None:
        """Sends a message; returns at once. Raises ClosedError."""

    def receive(self, seconds: float) -> Frames | None:
        """Returns the next message, or None if none comes within ``seconds`` or ``wake`` is called.

        Raises ClosedError, or ForeignError.
        """

    def wake(self) -> None:
        """Makes a waiting ``receive`` return."""

    def close(self) -> None:
        """Frees everything; safe to call twice."""


Connect = Callable[[Connection], Transport]


class ZeroMQ:
    """A DEALER socket to a service's endpoint. It does not reconnect: a lost connection needs a new transport."""

    def __init__(self, connection: Connection) -> None:
        """Connects to ``connection``. Raises UnreachableError."""
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._context.linger = 0  # set before any socket is made, or a dead peer would hold up term()
        self._waker, self._wake_sender = socket.socketpair()
        self._waker.setblocking(False)
        self._wake_sender.setblocking(False)
        self._socket = self._context.socket(zmq.DEALER)
        self._monitor = self._socket.get_monitor_socket(_LOST | _REFUSED)
        self._socket.setsockopt(zmq.MAXMSGSIZE, REPLY_LIMITS.frame_bytes + CURVE_BYTES)
        self._socket.set_hwm(0)  # no answer is ever dropped
        self._socket.setsockopt(zmq.RECONNECT_IVL, -1)  # the link looks for a service again
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
        except zmq.Again:  # the connection is closed, and sending would wait for ever
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
        """Returns the error for what the socket's monitor reports."""
        while self._monitor.poll(0):
            what, _where = self._monitor.recv_multipart()  # zmq.utils.monitor would import asyncio
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
    """Sets up CURVE, with which each side proves that it has the connection file's keys."""
    secret = connection.client_key.encode()
    socket.curve_publickey, socket.curve_secretkey = zmq.curve_public(secret), secret
    socket.curve_serverkey = connection.service_key.encode()


class InProcess:
    """A service that is a function from a message to its answers, called on the thread that sends.

    Answers that take longer can be given to ``deliver`` later, on any thread.
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
        """Hands over an answer to an earlier message."""
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
        """Closes the connection; the service may call it too."""
        self._is_closed = True
        self.wake()
