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
from ..protocol.connection import Connection, ConnectionFileError
from ..protocol.messages import (
    ANSWER_OF,
    Error,
    Frame,
    OpenIdentity,
    Ping,
    Proof,
    Release,
    Reply,
    Request,
    Synthesize,
    Welcome,
)
from ..protocol.proof import Greeting, new_nonce
from .pixels import Buffers, Pixels, from_rgba8

_RETRY_S = 1.0
_HELLO_EVERY_S = 0.25  # while connecting or while the model loads
_PING_EVERY_S = 1.0
_GRACE_S = 3.0  # after a loss: a backend that ended needs a moment to say why
_AGAIN = "stop, then start the backend again"
_SILENCE_S = 10.0  # without any answer, the service is taken for dead
_AWAKE_S = 1.0  # the most of it that counts between two looks: this process may have stood still itself
_RELEASE_S = 30.0
_SAME_RELEASE = "install the add-on and the backend from the same release"


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

    answer: type[Reply]  # what it must be, unless it is an Error
    deliver: Callable[[Any], None]
    fail: Callable[[RequestError], None]
    timeout: float  # seconds from being sent
    deadline: float = 0.0


class Client:
    """A connection to the service that ``find`` locates; ``find`` is called again after every loss.

    ``find`` returns the connection, or raises ConnectionFileError (not there yet) or GoneError (it never will
    be). ``on_silence`` is told when a service that was ready answers nothing any more, not even a Ping. Both run on the
    client's thread.
    """

    def __init__(self, find: Callable[[], Connection], name: str, on_silence: Callable[[], None] | None = None) -> None:
        self.link = Link(Phase.CONNECTING, "looking for the backend")
        self._find = find
        self._name = name
        self._on_silence = on_silence or (lambda: None)
        self._ids = itertools.count(1)
        self._outbox: queue.SimpleQueue[tuple[Request, _Pending]] = queue.SimpleQueue()
        self._slots: dict[int, tuple[Synthesize, Any, float]] = {}  # newest waiting preview by stream
        self._in_flight: set[int] = set()  # streams with a preview on its way
        self._finished: queue.SimpleQueue[Preview] = queue.SimpleQueue()
        self.buffers = Buffers()  # of the previews' pixels: whoever has shown them gives them back
        self._lock = threading.Lock()
        self._open: set[str] = set()  # identities that the service holds for this client
        self._opening = 0  # requests for one whose answer has not come
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

        if isinstance(request, OpenIdentity):
            with self._lock:
                self._opening += 1
            future.add_done_callback(self._opened)
        pending = _Pending(ANSWER_OF[type(request)], future.set_result, future.set_exception, timeout)
        self._outbox.put((request, pending))
        self._wake()
        return future

    def _opened(self, answer: Future[Any]) -> None:
        with self._lock:
            self._opening -= 1
            if answer.exception() is None:
                self._open.add(answer.result().identity)

    def release_all_but(self, used: set[str]) -> None:
        """Has the service forget the open identities that are not ``used``; none while another one opens."""
        with self._lock:
            unused = set() if self._opening else self._open - used
            self._open -= unused
        for identity in unused:
            self.ask(Release(identity), _RELEASE_S)

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
                connection = self._locate()
                if connection is not None:
                    self._exchange(context, connection)
        finally:
            self._abandon(RequestError("closed", "the connection was closed", "connect again"))
            context.term()
            self._wake_sender.close()
            self._wake_receiver.close()

    def _exchange(self, context: zmq.Context[Any], connection: Connection) -> None:
        """One life of the socket; whatever goes wrong in it ends as a lost link, never as a dead thread."""
        try:
            _Exchange(self, context, connection).run()
            if not self._closing:
                self._sleep(_HELLO_EVERY_S)
        except zmq.ZMQError as error:
            detail = f"{connection.endpoint} cannot be connected to ({error.strerror})"
            self.link = Link(Phase.REFUSED, detail, "check the connection file", self.link.welcome)
            self._sleep(_RETRY_S)
        except Exception as error:  # noqa: BLE001 a thread that dies silently would freeze every picture
            detail = f"the connection failed ({type(error).__name__}: {error})"
            self.link = Link(Phase.LOST, detail, _AGAIN, self.link.welcome)
            self._sleep(_RETRY_S)

    def _locate(self) -> Connection | None:
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

    def __init__(self, client: Client, context: zmq.Context[Any], connection: Connection) -> None:
        self._client = client
        self._socket = context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.MAXMSGSIZE, REPLY_LIMITS.frame_bytes)
        self._socket.set_hwm(0)  # no answer is ever dropped
        # An address that nobody can guess, and none but the process that was found behind it: another that listens
        # there afterwards gets nothing of what was meant for the first.
        self._socket.setsockopt(zmq.ROUTING_ID, b"\1" + new_nonce())
        self._socket.setsockopt(zmq.RECONNECT_IVL, -1)
        self._monitor = self._socket.get_monitor_socket(zmq.EVENT_DISCONNECTED | zmq.EVENT_CLOSED)
        self._endpoint = connection.endpoint
        self._greeting = Greeting(connection.token, client._name)
        self._pending: dict[int, _Pending] = {}
        self._greetings: set[int] = set()  # ids of challenges and hellos: over a slow line several are on their way
        self._watched = time.monotonic()
        self._silent = 0.0  # seconds, awake, since anything was heard
        self._spoken = 0.0
        self._loss = RequestError("lost", "the connection to the backend is lost", _AGAIN)
        self._over = False

    def run(self) -> None:
        poller = zmq.Poller()
        wake = self._client._wake_receiver
        wake.setblocking(False)
        for source in (self._socket, self._monitor, wake):
            poller.register(source, zmq.POLLIN)
        try:
            self._socket.connect(self._endpoint)
            self._greet()
            while not (self._over or self._client._closing):
                ready = dict(poller.poll(50 if self._pending else 200))
                if self._socket in ready:
                    self._receive()
                if self._monitor in ready:
                    self._disconnected()
                if wake.fileno() in ready:
                    with contextlib.suppress(OSError):
                        wake.recv(4096)
                if not self._over:
                    self._send_waiting()
                    self._watch()
        finally:
            for pending in self._pending.values():
                pending.fail(self._loss)
            self._client._abandon(self._loss)
            with self._client._lock:
                self._client._open.clear()
            self._socket.disable_monitor()
            self._monitor.close()
            self._socket.close()

    def _send(self, request: Request, pending: _Pending | None = None) -> int:
        request_id = next(self._client._ids)
        try:
            frames = encode(request_id, request)
        except ProtocolError as error:  # what a damaged .blend holds, for instance
            if pending is not None:
                pending.fail(RequestError(error.code, error.message, "give the face its identity and controls anew"))
            return request_id
        if pending is not None:
            pending.deadline = time.monotonic() + pending.timeout
            self._pending[request_id] = pending
        try:
            self._socket.send_multipart(frames, zmq.NOBLOCK, copy=False)
        except zmq.Again:  # a connection that is closed and not made again would be waited for without end
            self._closed()
        self._spoken = time.monotonic()
        return request_id

    def _greet(self) -> None:
        self._greetings.add(self._send(self._greeting.message()))

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

        def deliver(frame: Frame) -> None:
            if frame.encoding != "rgba8":
                fail(RequestError("unreadable", f"a preview came as {frame.encoding}", _SAME_RELEASE))
                return
            welcome = self._client.link.welcome
            halved = welcome is not None and 2 * frame.height == welcome.resolution[0]
            buffers = self._client.buffers
            pixels = from_rgba8(frame.data, frame.height, frame.width, doubled=halved, buffers=buffers)
            finish(Preview(stream, tag, asked, time.monotonic(), frame, pixels))

        def fail(error: RequestError) -> None:
            finish(Preview(stream, tag, asked, time.monotonic(), error=error))

        return _Pending(Frame, deliver, fail, _SILENCE_S)

    def _receive(self) -> None:
        while not self._over and self._socket.poll(0):
            frames = [frame.buffer for frame in self._socket.recv_multipart(copy=False)]
            self._silent = 0.0
            try:
                envelope = decode_reply(frames)
            except ProtocolError as error:
                self._unreadable(error)
                continue
            reply = envelope.message
            if envelope.id in self._greetings:
                self._greeted(reply)
            elif isinstance(reply, Error) and reply.code == "unproven":
                self._lose("the backend has forgotten this client, which was silent for too long")
            elif pending := self._pending.pop(envelope.id, None):
                self._deliver(pending, reply)

    def _deliver(self, pending: _Pending, reply: Reply) -> None:
        if isinstance(reply, Error):
            pending.fail(RequestError(reply.code, reply.message, reply.hint))
        elif isinstance(reply, pending.answer):
            pending.deliver(reply)
        else:
            pending.fail(RequestError("unreadable", f"a {type(reply).__name__} is no answer to this", _SAME_RELEASE))

    def _unreadable(self, error: ProtocolError) -> None:
        """A reply that cannot be read fails its own request. Where that is a greeting, there is no service for us."""
        if error.request_id in self._pending:
            self._pending.pop(error.request_id).fail(RequestError("unreadable", error.message, _SAME_RELEASE))
        elif error.code == "version" or error.request_id in self._greetings or not self._greeting.is_proven:
            self._refuse(error.message, _SAME_RELEASE)
            self._over = True

    def _greeted(self, reply: Reply) -> None:
        match reply:
            case Proof() if self._greeting.check(reply):
                self._greet()
            case _ if not self._greeting.is_proven:
                self._refuse(f"what listens on {self._endpoint} is not the backend of the connection file", _AGAIN)
                self._over = True
            case Welcome():
                self._client.link = Link(Phase.READY, reply.model_name, welcome=reply)
            case Error(code="loading"):
                self._client.link = Link(Phase.LOADING, reply.message, reply.hint)
            case Error():
                self._refuse(reply.message, reply.hint)

    def _refuse(self, why: str, hint: str) -> None:
        self._client.link = replace(self._client.link, phase=Phase.REFUSED, detail=why, hint=hint)

    def _disconnected(self) -> None:
        while self._monitor.poll(0):
            self._monitor.recv_multipart()  # zmq's own reader of it would import asyncio
        self._closed()

    def _closed(self) -> None:
        self._over = True
        if self._client.link.phase in (Phase.READY, Phase.LOADING):
            self._lose("the backend closed the connection")
        elif self._client.link.phase is Phase.CONNECTING:
            self._lose(f"nothing answers on {self._endpoint}: the backend of the connection file has ended")

    def _lose(self, why: str) -> None:
        self._loss = RequestError("lost", why, _AGAIN)
        self._client.link = replace(self._client.link, phase=Phase.LOST, detail=why, hint=_AGAIN)
        self._over = True

    def _watch(self) -> None:
        now = time.monotonic()
        ready = self._client.link.phase is Phase.READY
        if now - self._spoken > (_PING_EVERY_S if ready else _HELLO_EVERY_S):
            if ready:
                self._send(Ping())
            else:
                self._greet()
        self._silent += min(now - self._watched, _AWAKE_S)
        self._watched = now
        if self._silent > _SILENCE_S:
            self._lose(f"the backend has been silent for {_SILENCE_S:.0f} s")
            if ready:
                self._client._on_silence()
        for request_id in [i for i, pending in self._pending.items() if now > pending.deadline]:
            error = RequestError("timeout", "the backend did not answer in time", "see its log, or start it again")
            self._pending.pop(request_id).fail(error)
