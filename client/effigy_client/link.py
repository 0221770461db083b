# SPDX-License-Identifier: Apache-2.0
"""The link to a service: a background thread that finds it, connects, and connects again after every loss.

Asking never blocks: ``ask`` returns a future. Of the previews of a stream only the newest is sent, and finished ones
are collected with ``previews``.
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
_GRACE_S = 3.0  # after a loss, as it takes a moment until a backend that ended has said why


class Source(Protocol):
    """Finds a link's service; see ``provision``. Both methods are called on the link's thread."""

    def find(self) -> Connection:
        """Returns the connection. Raises ConnectionFileError if it is not there yet, GoneError if it has ended."""

    def fell_silent(self) -> None:
        """Notes that a service that was ready answers nothing any more, not even a Ping."""


class Link:
    """A connection to the service that ``source`` finds, until it is closed."""

    def __init__(self, source: Source, name: str, connect: Connect = ZeroMQ) -> None:
        """Starts the thread. ``name`` is this client's, for the service's log."""
        self.state = State(Phase.CONNECTING, "looking for the backend")
        self.connections = 0  # made so far; what a service holds for this client ends with each
        self.buffers = Buffers()  # for the pixels of previews; whoever has shown them gives them back
        self._source = source
        self._name = name
        self._connect = connect
        self._outbox = Outbox()
        self._transport: Transport | None = None
        self._is_closing = False
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._run, name="effigy-link", daemon=True)
        self._thread.start()

    # --- called from any thread ------------------------------------------------------------------

    def ask(self, request: Request, timeout: float) -> Future[Any]:
        """Sends a request as soon as the service is ready. The future yields its reply or raises RequestError.

        It fails at the latest ``timeout`` seconds after it was sent.
        """
        future = self._outbox.ask(request, timeout)
        self._wake()
        return future

    def call(self, request: Request, timeout: float) -> Any:
        """Sends a request and waits for its reply. Raises RequestError, at the latest after ``timeout`` seconds."""
        return self.wait(self.ask(request, timeout), timeout)

    def wait(self, answer: Future[Any], timeout: float) -> Any:
        """Waits for the result of ``answer``. Raises RequestError, at the latest after ``timeout`` seconds."""
        try:
            return answer.result(timeout + 1.0)
        except FutureTimeoutError:
            detail = self.state.detail or self.state.phase.value
            raise RequestError("timeout", f"no answer from the backend: {detail}", self.state.hint) from None

    def wait_ready(self, timeout: float) -> Welcome:
        """Waits until the service is ready. Raises RequestError, at the latest after ``timeout`` seconds."""
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

    @property
    def was_ready(self) -> bool:
        """Whether the service has been ready at any time, even if it is lost now."""
        return self.state.welcome is not None

    def preview(self, request: Synthesize, tag: Any = None) -> None:
        """Asks for a preview; replaces the one of the same stream that still waits to be sent."""
        self._outbox.want(request, tag)
        self._wake()

    def previews(self) -> list[Preview]:
        """Returns the previews that finished since the last call."""
        return self._outbox.previews()

    @property
    def streams(self) -> set[int]:
        """The streams with a preview that waits or is on its way."""
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
        """Ends the thread; requests that are not answered fail. Safe to call twice."""
        self._is_closing = True
        self._wake()
        self._thread.join(timeout=2.0)

    def _wake(self) -> None:
        self._woken.set()
        if transport := self._transport:
            transport.wake()

    # --- the thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._is_closing:
                connection = self._locate()
                if connection is not None:
                    self._connect_once(connection)
        finally:
            self._outbox.abandon(RequestError("closed", "the connection was closed", "connect again"))

    def _connect_once(self, connection: Connection) -> None:
        """Connects, and runs until the connection ends; any error gives a lost link, never a dead thread."""
        try:
            transport = self._connect(connection)
        except UnreachableError as error:
            self._become(State(Phase.REFUSED, str(error), "check the connection file", self.state.welcome))
            self._sleep(_RETRY_S)
            return
        self.connections += 1
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
            hint = error.hint if isinstance(error, GoneError) else ""
            self._become(State(phase, str(error), hint, self.state.welcome))
            self._outbox.abandon(RequestError("no-backend", str(error), hint))
            self._sleep(HELLO_EVERY_S)
            return None

    def _sleep(self, seconds: float) -> None:
        """Waits until something is asked, at most ``seconds``."""
        self._woken.clear()
        if not self._is_closing:
            self._woken.wait(seconds)
