# SPDX-License-Identifier: Apache-2.0
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
from typing import Any

import zmq

from effigy_protocol.connection import Connection, ConnectionFileError
from effigy_protocol.messages import ANSWER_OF, OpenIdentity, Release, Request, Synthesize, Welcome

from .exchange import HELLO_EVERY_S, Exchange
from .link import AGAIN, GoneError, Link, Pending, Phase, Preview, RequestError
from .pixels import Buffers

_RETRY_S = 1.0
_GRACE_S = 3.0  # after a loss: a backend that ended needs a moment to say why
_RELEASE_S = 30.0


class Client:
    """A connection to the service that ``find`` locates; ``find`` is called again after every loss.

    ``find`` returns the connection, or raises ConnectionFileError (not there yet) or GoneError (it never will
    be). ``on_silence`` is told when a service that was ready answers nothing any more, not even a Ping. Both run on the
    client's thread.
    """

    def __init__(self, find: Callable[[], Connection], name: str, on_silence: Callable[[], None] | None = None) -> None:
        self.link = Link(Phase.CONNECTING, "looking for the backend")
        self.buffers = Buffers()  # of the previews' pixels: whoever has shown them gives them back
        self._find = find
        # What has no underscore below, the exchange shares, which runs on the client's thread; nobody else does.
        self.name = name
        self.on_silence = on_silence or (lambda: None)
        self.ids = itertools.count(1)
        self.outbox: queue.SimpleQueue[tuple[Request, Pending]] = queue.SimpleQueue()
        self.slots: dict[int, tuple[Synthesize, Any, float]] = {}  # newest waiting preview by stream
        self.in_flight: set[int] = set()  # streams with a preview on its way
        self.finished: queue.SimpleQueue[Preview] = queue.SimpleQueue()
        self.lock = threading.Lock()
        self.held: set[str] = set()  # identities that the service holds for this client
        self._opening = 0  # requests for one whose answer has not come
        self.closing = False
        self.wake_receiver, self._wake_sender = socket.socketpair()
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
            with self.lock:
                self._opening += 1
            future.add_done_callback(self._opened)
        pending = Pending(ANSWER_OF[type(request)], future.set_result, future.set_exception, timeout)
        self.outbox.put((request, pending))
        self._wake()
        return future

    def _opened(self, answer: Future[Any]) -> None:
        with self.lock:
            self._opening -= 1
            if answer.exception() is None:
                self.held.add(answer.result().identity)

    def release_all_but(self, used: set[str]) -> None:
        """Has the service forget the open identities that are not ``used``; none while another one opens."""
        with self.lock:
            unused = set() if self._opening else self.held - used
            self.held -= unused
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
        with self.lock:
            self.slots[request.stream] = (request, tag, time.monotonic())
        self._wake()

    def previews(self) -> list[Preview]:
        """Every preview that finished since the last call."""
        finished = []
        with contextlib.suppress(queue.Empty):
            while True:
                finished.append(self.finished.get_nowait())
        return finished

    @property
    def is_busy(self) -> bool:
        """Whether a preview waits or is on its way."""
        return bool(self.slots or self.in_flight)

    @property
    def waiting(self) -> set[int]:
        """The streams of which a preview waits or is on its way."""
        with self.lock:
            return {*self.slots, *self.in_flight}

    @property
    def has_previews(self) -> bool:
        """Whether ``previews`` would return any."""
        return not self.finished.empty()

    def close(self) -> None:
        """Ends the thread; every request still on its way fails. Safe to call twice."""
        self.closing = True
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
            while not self.closing:
                connection = self._locate()
                if connection is not None:
                    self._exchange(context, connection)
        finally:
            self.abandon(RequestError("closed", "the connection was closed", "connect again"))
            context.term()
            self._wake_sender.close()
            self.wake_receiver.close()

    def _exchange(self, context: zmq.Context[Any], connection: Connection) -> None:
        """One life of the socket; whatever goes wrong in it ends as a lost link, never as a dead thread."""
        try:
            Exchange(self, context, connection).run()
            if not self.closing:
                self._sleep(HELLO_EVERY_S)
        except zmq.ZMQError as error:
            detail = f"{connection.endpoint} cannot be connected to ({error.strerror})"
            self.link = Link(Phase.REFUSED, detail, "check the connection file", self.link.welcome)
            self._sleep(_RETRY_S)
        except Exception as error:  # noqa: BLE001 a thread that dies silently would freeze every picture
            detail = f"the connection failed ({type(error).__name__}: {error})"
            self.link = Link(Phase.LOST, detail, AGAIN, self.link.welcome)
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
            self.abandon(RequestError("no-backend", str(error), hint))
            self._sleep(HELLO_EVERY_S)
            return None

    def _sleep(self, seconds: float) -> None:
        self.wake_receiver.settimeout(seconds)
        with contextlib.suppress(TimeoutError, OSError):
            self.wake_receiver.recv(4096)

    def abandon(self, error: RequestError) -> None:
        """Fails everything that waits to be sent."""
        with contextlib.suppress(queue.Empty):
            while True:
                self.outbox.get_nowait()[1].fail(error)
        with self.lock:
            waiting, self.slots = self.slots, {}
        for stream, (_, tag, asked) in waiting.items():
            self.finished.put(Preview(stream, tag, asked, time.monotonic(), error=error))
