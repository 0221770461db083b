# SPDX-License-Identifier: Apache-2.0
"""The link to a service: one background thread that finds it, connects, and connects again after every loss.

Who asks never waits for it: ``ask`` returns a future, previews go into a slot of which only the newest is sent, and
finished previews are collected with ``previews``.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, Protocol

from effigy_protocol.connection import Connection, ConnectionFileError
from effigy_protocol.messages import Request, Synthesize, Welcome

from .errors import AGAIN, GoneError, RequestError
from .exchange import HELLO_EVERY_S, Exchange
from .outbox import Outbox, Preview
from .pixels import Buffers
from .state import Phase, State
from .transport import Connect, Transport, UnreachableError, ZeroMQ

_RETRY_S = 1.0
_GRACE_S = 3.0  # after a loss: a backend that ended needs a moment to say why
_MEND = "mend that (effigy doctor, in a terminal, says more), then stop and start the backend again"


class Source(Protocol):
    """Where a link's service is; see ``provision``. Both methods run on the link's thread."""

    def find(self) -> Connection:
        """Raises ConnectionFileError (not there yet) or GoneError (it never will be)."""

    def fell_silent(self) -> None:
        """A service that was ready answers nothing any more, not even a Ping."""


class Link:
    """A connection to the service that ``source`` finds, as long as it is not closed."""

    def __init__(self, source: Source, name: str, connect: Connect = ZeroMQ) -> None:
        """``name`` says who this is, for the service's log."""
        self.state = State(Phase.CONNECTING, "looking for the backend")
        self.lives = 0  # how often it has connected: what a service held for this client ends with each
        self.buffers = Buffers()  # of the previews' pixels: whoever has shown them gives them back
        self._source = source
        self._name = name
        self._connect = connect
        self._outbox = Outbox()
        self._transport: Transport | None = None
        self._is_closing = False
        self._stirred = threading.Event()
        self._thread = threading.Thread(target=self._run, name="effigy-link", daemon=True)
        self._thread.start()

    # --- called from any thread ------------------------------------------------------------------

    def ask(self, request: Request, timeout: float) -> Future[Any]:
        """Sends a request; the future yields its reply or raises RequestError.

        It fails ``timeout`` s after it was sent at the latest; it is sent as soon as the service is ready.
        """
        future = self._outbox.ask(request, timeout)
        self._wake()
        return future

    def call(self, request: Request, timeout: float) -> Any:
        """The reply to ``request``, waited for; raises RequestError, after ``timeout`` s at the latest."""
        return self.wait(self.ask(request, timeout), timeout)

    def wait(self, answer: Future[Any], timeout: float) -> Any:
        """What ``answer`` yields; raises RequestError, after ``timeout`` s at the latest."""
        try:
            return answer.result(timeout + 1.0)
        except FutureTimeoutError:
            detail = self.state.detail or self.state.phase.value
            raise RequestError("timeout", f"no answer from the backend: {detail}", self.state.hint) from None

    def wait_ready(self, timeout: float) -> Welcome:
        """The service's Welcome, waited for; raises RequestError, after ``timeout`` s at the latest."""
        end, lost = time.monotonic() + timeout, None
        while time.monotonic() < end:
            state = self.state
            if state.phase is Phase.READY and state.welcome is not None:
                return state.welcome
            if state.phase is Phase.REFUSED:
                raise RequestError("refused", state.detail, state.hint)
            if state.phase is not Phase.LOST:
                lost = None
            elif time.monotonic() - (lost := lost or time.monotonic()) > _GRACE_S:
                raise RequestError("lost", state.detail, state.hint)
            time.sleep(0.02)
        raise RequestError("no-backend", f"no backend within {timeout:.0f} s: {self.state.detail}", self.state.hint)

    @property
    def is_ready(self) -> bool:
        return self.state.phase is Phase.READY

    def preview(self, request: Synthesize, tag: Any = None) -> None:
        """Asks for a preview; replaces the one of the same stream that still waits to be sent."""
        self._outbox.want(request, tag)
        self._wake()

    def previews(self) -> list[Preview]:
        """Every preview that finished since the last call."""
        return self._outbox.previews()

    @property
    def streams(self) -> set[int]:
        """Those of which a preview waits or is on its way."""
        return self._outbox.streams

    @property
    def is_busy(self) -> bool:
        """Whether a preview waits or is on its way."""
        return bool(self._outbox.streams)

    @property
    def has_previews(self) -> bool:
        """Whether ``previews`` would return any."""
        return self._outbox.has_previews

    def close(self) -> None:
        """Ends the thread; every request still on its way fails. Safe to call twice."""
        self._is_closing = True
        self._wake()
        self._thread.join(timeout=2.0)

    def _wake(self) -> None:
        self._stirred.set()
        if transport := self._transport:
            transport.wake()

    # --- the thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._is_closing:
                connection = self._locate()
                if connection is not None:
                    self._live(connection)
        finally:
            self._outbox.abandon(RequestError("closed", "the connection was closed", "connect again"))

    def _live(self, connection: Connection) -> None:
        """One life of the connection; whatever goes wrong in it ends as a lost link, never as a dead thread."""
        try:
            transport = self._connect(connection)
        except UnreachableError as error:
            self._become(State(Phase.REFUSED, str(error), "check the connection file", self.state.welcome))
            self._sleep(_RETRY_S)
            return
        self.lives += 1
        self._transport = transport
        try:
            exchange = Exchange(transport, connection, self._name, self._outbox, self.buffers, self.state, self._become)
            exchange.run(lambda: self._is_closing)
            if exchange.fell_silent:
                self._source.fell_silent()
            pause = HELLO_EVERY_S
        except Exception as error:  # noqa: BLE001 a thread that dies silently would freeze every picture
            detail = f"the connection failed ({type(error).__name__}: {error})"
            self._become(State(Phase.LOST, detail, AGAIN, self.state.welcome))
            pause = _RETRY_S
        finally:
            self._transport = None
            transport.close()
        self._sleep(pause)

    def _become(self, state: State) -> None:
        self.state = state

    def _locate(self) -> Connection | None:
        try:
            return self._source.find()
        except (ConnectionFileError, GoneError) as error:
            phase = Phase.REFUSED if isinstance(error, GoneError) else Phase.CONNECTING
            if isinstance(error, ConnectionFileError) and self.state.phase is Phase.LOST:
                phase = Phase.LOST
            hint = _MEND if phase is Phase.REFUSED else ""
            self._become(State(phase, str(error), hint, self.state.welcome))
            self._outbox.abandon(RequestError("no-backend", str(error), hint))
            self._sleep(HELLO_EVERY_S)
            return None

    def _sleep(self, seconds: float) -> None:
        """Until something is asked, at most so long."""
        self._stirred.clear()
        if not self._is_closing:
            self._stirred.wait(seconds)
