# SPDX-License-Identifier: GPL-3.0-or-later
"""The client: one background thread owns the socket, sends what it is given and decodes what comes back.

The main thread never waits for it: ``ask`` returns a future, previews go into a slot of which only the
newest is sent, and finished previews are collected with ``previews``.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import zmq

from ..protocol import REPLY_LIMITS, ProtocolError, decode_reply, encode
from ..protocol.connection import ConnectionFileError
from ..protocol.messages import Error, Frame, Hello, Ping, Reply, Request, Synthesize, Welcome
from .pixels import Buffers, Pixels, from_rgba8

_RETRY_S = 1.0
_HELLO_EVERY_S = 0.25  # while connecting or while the model loads
_PING_EVERY_S = 1.0
_GRACE_S = 3.0  # after a loss: a backend that ended needs a moment to say why
_AGAIN = "stop, then start the backend again"
_SILENCE_S = 10.0  # without any answer, the service is taken for dead


class Phase(Enum):
    CONNECTING = "connecting"
    LOADING = "loading"
    READY = "ready"
    LOST = "lost"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Link:
    """The connection's state, whole: read it once, then use it."""

    phase: Phase
    detail: str = ""
    hint: str = ""
    welcome: Welcome | None = None


class RequestError(Exception):
    """A request that failed: refused by the service, or never answered. ``hint`` says what to do."""

    def __init__(self, code: str, message: str, hint: str) -> None:
        super().__init__(f"{message} ({hint})" if hint else message)
        self.code = code
        self.message = message
        self.hint = hint


class GoneError(Exception):
    """There will be no service: the one that was to be found has ended. Says why."""


@dataclass(frozen=True, slots=True)
class Preview:
    """A finished preview. ``tag`` is what it was asked with; exactly one of ``frame`` and ``error`` is set."""

    stream: int
    tag: Any
    asked: float  # time.monotonic()
    finished: float
    frame: Frame | None = None
    pixels: Pixels | None = None
    error: RequestError | None = None


@dataclass(slots=True)
class _Pending:
    """A request on its way: who hears of the answer, and by when it must have come."""

    deliver: Callable[[Reply], None]
    fail: Callable[[RequestError], None]
    timeout: float  # seconds from being sent
    deadline: float = 0.0


class Client:
    """A connection to the service that ``find`` locates; ``find`` is called again after every loss.

    ``find`` returns an endpoint, or raises ConnectionFileError (not there yet) or GoneError (it never will
    be); it runs on the client's thread.
    """

    def __init__(self, find: Callable[[], str], name: str) -> None:
        self.link = Link(Phase.CONNECTING, "looking for the backend")
        self._find = find
        self._name = name
        self._ids = itertools.count(1)
        self._outbox: queue.SimpleQueue[tuple[Request, _Pending]] = queue.SimpleQueue()
        self._slots: dict[int, tuple[Synthesize, Any, float]] = {}  # newest waiting preview by stream
        self._in_flight: set[int] = set()  # streams with a preview on its way
        self._finished: queue.SimpleQueue[Preview] = queue.SimpleQueue()
        self.buffers = Buffers()  # of the previews' pixels: whoever has shown them gives them back
        self._lock = threading.Lock()
        self._closing = False
        self._wake_receiver, self._wake_sender = socket.socketpair()
        self._wake_sender.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="effigy-client", daemon=True)
        self._thread.start()

    # --- called from any thread ------------------------------------------------------------------

    def ask(self, request: Request, timeout: float) -> Future[Any]:
        """Sends a request; the future yields its reply or raises RequestError.

        It fails ``timeout`` s after it was sent at the latest; it is sent as soon as the service is ready.
        """
        future: Future[Any] = Future()

        def deliver(reply: Reply) -> None:
            if isinstance(reply, Error):
                fail(RequestError(reply.code, reply.message, reply.hint))
            else:
                future.set_result(reply)

        def fail(error: RequestError) -> None:
            future.set_exception(error)

        self._outbox.put((request, _Pending(deliver, fail, timeout)))
        self._wake()
        return future

    def call(self, request: Request, timeout: float) -> Any:
        """The reply to ``request``, waited for; raises RequestError, after ``timeout`` s at the latest."""
        try:
            return self.ask(request, timeout).result(timeout + 1.0)
        except FutureTimeoutError:
            detail = self.link.detail or self.link.phase.value
            raise RequestError("timeout", f"no answer from the backend: {detail}", self.link.hint) from None

    def wait_ready(self, timeout: float) -> Welcome:
        """The service's Welcome, waited for; raises RequestError, after ``timeout`` s at the latest."""
        end, lost = time.monotonic() + timeout, None
        while time.monotonic() < end:
            link = self.link
            if link.phase is Phase.READY and link.welcome is not None:
                return link.welcome
            if link.phase is Phase.REFUSED:
                raise RequestError("refused", link.detail, link.hint)
            if link.phase is not Phase.LOST:
                lost = None
            elif time.monotonic() - (lost := lost or time.monotonic()) > _GRACE_S:
                raise RequestError("lost", link.detail, link.hint)
            time.sleep(0.02)
        raise RequestError("no-backend", f"no backend within {timeout:.0f} s: {self.link.detail}", self.link.hint)

    def preview(self, request: Synthesize, tag: Any = None) -> None:
        """Asks for a preview; replaces the one of the same stream that still waits to be sent."""
        with self._lock:
            self._slots[request.stream] = (request, tag, time.monotonic())
        self._wake()

    def previews(self) -> list[Preview]:
        """Every preview that finished since the last call."""
        finished = []
        with contextlib.suppress(queue.Empty):
            while True:
                finished.append(self._finished.get_nowait())
        return finished

    @property
    def is_busy(self) -> bool:
        """Whether a preview waits or is on its way."""
        return bool(self._slots or self._in_flight)

    @property
    def waiting(self) -> set[int]:
        """The streams of which a preview waits or is on its way."""
        with self._lock:
            return {*self._slots, *self._in_flight}

    @property
    def has_previews(self) -> bool:
        """Whether ``previews`` would return any."""
        return not self._finished.empty()

    def close(self) -> None:
        """Ends the thread; every request still on its way fails. Safe to call twice."""
        self._closing = True
        self._wake()
        self._thread.join(timeout=2.0)

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # a full pipe has woken the thread already
            self._wake_sender.send(b"\0")

    # --- the thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        context = zmq.Context()
        context.linger = 0  # before any socket: else a dead peer would hold up term()
        try:
            while not self._closing:
                endpoint = self._locate()
                if endpoint is not None:
                    self._exchange(context, endpoint)
        finally:
            self._abandon(RequestError("closed", "the connection was closed", "connect again"))
            context.term()
            self._wake_sender.close()
            self._wake_receiver.close()

    def _exchange(self, context: zmq.Context[Any], endpoint: str) -> None:
        """One life of the socket; whatever goes wrong in it ends as a lost link, never as a dead thread."""
        try:
            _Exchange(self, context, endpoint).run()
        except zmq.ZMQError as error:
            detail = f"{endpoint} cannot be connected to ({error.strerror})"
            self.link = Link(Phase.REFUSED, detail, "check the connection file", self.link.welcome)
            self._sleep(_RETRY_S)
        except Exception as error:  # noqa: BLE001 a thread that dies silently would freeze every picture
            detail = f"the connection failed ({type(error).__name__}: {error})"
            self.link = Link(Phase.LOST, detail, _AGAIN, self.link.welcome)
            self._sleep(_RETRY_S)

    def _locate(self) -> str | None:
        try:
            return self._find()
        except (ConnectionFileError, GoneError) as error:
            phase = Phase.REFUSED if isinstance(error, GoneError) else Phase.CONNECTING
            if isinstance(error, ConnectionFileError) and self.link.phase is Phase.LOST:
                phase = Phase.LOST
            # The last Welcome stays readable: the interface need not forget the controls.
            hint = (
                "mend that (effigy doctor, in a terminal, says more), then stop and start the backend again"
                if phase is Phase.REFUSED
                else ""
            )
            self.link = Link(phase, str(error), hint, self.link.welcome)
            self._abandon(RequestError("no-backend", str(error), hint))
            self._sleep(_HELLO_EVERY_S)
            return None

    def _sleep(self, seconds: float) -> None:
        self._wake_receiver.settimeout(seconds)
        with contextlib.suppress(TimeoutError, OSError):
            self._wake_receiver.recv(4096)

    def _abandon(self, error: RequestError) -> None:
        """Fails everything that waits to be sent."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._outbox.get_nowait()[1].fail(error)
        with self._lock:
            waiting, self._slots = self._slots, {}
        for stream, (_, tag, asked) in waiting.items():
            self._finished.put(Preview(stream, tag, asked, time.monotonic(), error=error))


class _Exchange:
    """One life of the socket: from connecting until the service is lost or the client closes."""

    def __init__(self, client: Client, context: zmq.Context[Any], endpoint: str) -> None:
        self._client = client
        self._socket = context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.MAXMSGSIZE, REPLY_LIMITS.frame_bytes)
        self._socket.set_hwm(0)  # no answer is ever dropped
        self._monitor = self._socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self._endpoint = endpoint
        self._pending: dict[int, _Pending] = {}
        self._hello_ids: set[int] = set()
        self._started = self._heard = time.monotonic()
        self._spoken = 0.0
        self._over = False

    def run(self) -> None:
        poller = zmq.Poller()
        wake = self._client._wake_receiver
        wake.setblocking(False)
        for source in (self._socket, self._monitor, wake):
            poller.register(source, zmq.POLLIN)
        try:
            self._socket.connect(self._endpoint)
            self._hello()
            while not (self._over or self._client._closing):
                ready = dict(poller.poll(50 if self._pending else 200))
                if self._socket in ready:
                    self._receive()
                if self._monitor in ready:
                    self._disconnected()
                if wake.fileno() in ready:
                    with contextlib.suppress(OSError):
                        wake.recv(4096)
                self._send_waiting()
                self._watch()
        finally:
            error = RequestError("lost", "the connection to the backend is lost", _AGAIN)
            for pending in self._pending.values():
                pending.fail(error)
            self._client._abandon(error)
            self._socket.disable_monitor()
            self._monitor.close()
            self._socket.close()

    def _send(self, request: Request, pending: _Pending | None) -> int:
        request_id = next(self._client._ids)
        if pending is not None:
            pending.deadline = time.monotonic() + pending.timeout
            self._pending[request_id] = pending
        self._socket.send_multipart(encode(request_id, request), copy=False)
        self._spoken = time.monotonic()
        return request_id

    def _hello(self) -> None:
        self._hello_ids.add(self._send(Hello(self._client._name), None))

    def _send_waiting(self) -> None:
        client = self._client
        if client.link.phase is not Phase.READY:
            return
        with contextlib.suppress(queue.Empty):
            while True:
                self._send(*client._outbox.get_nowait())
        with client._lock:
            streams = [stream for stream in client._slots if stream not in client._in_flight]
            client._in_flight.update(streams)
            ready = [client._slots.pop(stream) for stream in streams]
        for request, tag, asked in ready:
            self._send(request, self._preview_pending(request.stream, tag, asked))

    def _preview_pending(self, stream: int, tag: Any, asked: float) -> _Pending:
        def finish(preview: Preview) -> None:
            self._client._finished.put(preview)  # before it is in flight no more: it is seen in one of both
            self._client._in_flight.discard(stream)

        def deliver(reply: Reply) -> None:
            if isinstance(reply, Frame):
                welcome = self._client.link.welcome
                halved = welcome is not None and 2 * reply.height == welcome.resolution[0]
                buffers = self._client.buffers
                pixels = from_rgba8(reply.data, reply.height, reply.width, doubled=halved, buffers=buffers)
                finish(Preview(stream, tag, asked, time.monotonic(), reply, pixels))
            elif isinstance(reply, Error):
                fail(RequestError(reply.code, reply.message, reply.hint))

        def fail(error: RequestError) -> None:
            finish(Preview(stream, tag, asked, time.monotonic(), error=error))

        return _Pending(deliver, fail, _SILENCE_S)

    def _receive(self) -> None:
        while self._socket.poll(0):
            frames = [frame.buffer for frame in self._socket.recv_multipart(copy=False)]
            self._heard = time.monotonic()
            try:
                envelope = decode_reply(frames)
            except ProtocolError as error:
                hint = "install the add-on and the backend from the same release"
                self._client.link = Link(Phase.REFUSED, error.message, hint)
                continue
            if envelope.id in self._hello_ids:  # over a slow line several are on their way
                self._greeted(envelope.message)
            elif pending := self._pending.pop(envelope.id, None):
                pending.deliver(envelope.message)

    def _greeted(self, reply: Reply) -> None:
        client = self._client
        if isinstance(reply, Welcome):
            client.link = Link(Phase.READY, reply.model_name, welcome=reply)
        elif isinstance(reply, Error) and reply.code == "loading":
            client.link = Link(Phase.LOADING, reply.message, reply.hint)
        elif isinstance(reply, Error):
            client.link = Link(Phase.REFUSED, reply.message, reply.hint)

    def _disconnected(self) -> None:
        while self._monitor.poll(0):
            self._monitor.recv_multipart()  # zmq's own reader of it would import asyncio
        if self._client.link.phase in (Phase.READY, Phase.LOADING):
            self._lose("the backend closed the connection")

    def _lose(self, why: str) -> None:
        self._client.link = replace(self._client.link, phase=Phase.LOST, detail=why, hint=_AGAIN)
        self._over = True

    def _watch(self) -> None:
        now = time.monotonic()
        ready = self._client.link.phase is Phase.READY
        if now - self._spoken > (_PING_EVERY_S if ready else _HELLO_EVERY_S):
            if ready:
                self._send(Ping(), None)
            else:
                self._hello()
        if now - self._heard > _SILENCE_S:
            self._lose(f"the backend has been silent for {_SILENCE_S:.0f} s")
        for request_id in [i for i, pending in self._pending.items() if now > pending.deadline]:
            error = RequestError("timeout", "the backend did not answer in time", "see its log, or start it again")
            self._pending.pop(request_id).fail(error)
