# SPDX-License-Identifier: Apache-2.0
"""Runs one connection, from greeting the service to its loss: sends what waits, and delivers what comes back."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import replace

from effigy_protocol import ProtocolError, decode_reply, encode
from effigy_protocol.connection import Connection
from effigy_protocol.messages import Error, Frame, Hello, Ping, Reply, Request, Welcome

from .errors import AGAIN, SAME_RELEASE, RequestError
from .outbox import Outbox, Painted, Pending, Preview, Wanted
from .pixels import Buffers
from .state import Phase, State
from .transport import ClosedError, ForeignError, Frames, Transport

HELLO_EVERY_S = 0.25  # while connecting or while the model loads
_PING_EVERY_S = 1.0
_SILENCE_S = 10.0  # without any answer, the service is taken for dead
_AWAKE_S = 1.0  # the most of it that counts between two looks: this process may have stood still itself


class Exchange:
    """One connection, from greeting the service until it is lost or the link closes."""

    def __init__(
        self, transport: Transport, connection: Connection, name: str, outbox: Outbox, buffers: Buffers, before: State,
        report: Callable[[State], None],
    ) -> None:  # fmt: skip
        """Sends what is in ``outbox``, and calls ``report`` with every new state; ``before`` is the present one."""
        self._transport = transport
        self._endpoint = connection.endpoint
        self._name = name
        self._outbox = outbox
        self._buffers = buffers
        self._state = before
        self._report = report
        self._ids = itertools.count(1)
        self._pending: dict[int, Pending] = {}
        self._greetings: set[int] = set()  # ids of hellos: over a slow line several are on their way
        self._watched = time.monotonic()
        self._silent = 0.0  # seconds, awake, since anything was heard
        self._spoken = 0.0
        self._loss = RequestError("lost", "the connection to the backend is lost", AGAIN)
        self._over = False
        self.fell_silent = False  # whether it ended since a service that was ready answered nothing any more

    def run(self, is_closing: Callable[[], bool]) -> None:
        """Runs until the service is lost or refused, or ``is_closing`` returns True."""
        try:
            self._greet()
            while not (self._over or is_closing()):
                self._receive()
                if not self._over:
                    self._send_waiting()
                    self._watch()
        except ForeignError:
            self._refuse(f"what listens on {self._endpoint} is not the backend of the connection file", AGAIN)
        except ClosedError:
            self._closed()
        finally:
            for pending in self._pending.values():
                pending.fail(self._loss)
            self._outbox.abandon(self._loss)

    def _send(self, request: Request, pending: Pending | None = None) -> int:
        request_id = next(self._ids)
        try:
            frames = encode(request_id, request)
        except ProtocolError as error:  # what a damaged .blend holds, for instance
            if pending is not None:
                pending.fail(RequestError(error.code, error.message, "give the face its identity and controls anew"))
            return request_id
        if pending is not None:
            pending.deadline = time.monotonic() + pending.timeout
            self._pending[request_id] = pending
        self._transport.send(frames)
        self._spoken = time.monotonic()
        return request_id

    def _greet(self) -> None:
        self._greetings.add(self._send(Hello(self._name)))

    def _send_waiting(self) -> None:
        if self._state.phase is not Phase.READY:
            return
        for request, pending in self._outbox.requests():
            self._send(request, pending)
        for wanted in self._outbox.take_wanted():
            self._send(wanted.request, self._preview_pending(wanted))

    def _preview_pending(self, wanted: Wanted) -> Pending:
        stream, tag, asked = wanted.request.stream, wanted.tag, wanted.asked

        def deliver(frame: Frame) -> None:
            if frame.encoding != "rgba8":
                fail(RequestError("unreadable", f"a preview came as {frame.encoding}", SAME_RELEASE))
                return
            painted = Painted.of(frame, wanted.request.matte, self._buffers)
            self._outbox.finish(Preview(stream, tag, asked, time.monotonic(), painted))

        def fail(error: RequestError) -> None:
            self._outbox.finish(Preview(stream, tag, asked, time.monotonic(), error))

        return Pending(Frame, deliver, fail, _SILENCE_S)

    def _receive(self) -> None:
        frames = self._transport.receive(0.05 if self._pending else 0.2)
        while frames is not None and not self._over:
            self._decode(frames)
            frames = None if self._over else self._transport.receive(0.0)

    def _decode(self, frames: Frames) -> None:
        self._silent = 0.0
        try:
            envelope = decode_reply(list(frames))
        except ProtocolError as error:
            self._unreadable(error)
            return
        reply = envelope.message
        if envelope.id in self._greetings:
            self._greeted(reply)
        elif pending := self._pending.pop(envelope.id, None):
            self._deliver(pending, reply)

    def _deliver(self, pending: Pending, reply: Reply) -> None:
        if isinstance(reply, Error):
            pending.fail(RequestError(reply.code, reply.message, reply.hint))
        elif isinstance(reply, pending.answer):
            pending.deliver(reply)
        else:
            pending.fail(RequestError("unreadable", f"a {type(reply).__name__} is no answer to this", SAME_RELEASE))

    def _unreadable(self, error: ProtocolError) -> None:
        """Fails the request of a reply that cannot be read; before the first Welcome, fails the connection."""
        if error.request_id in self._pending:
            self._pending.pop(error.request_id).fail(RequestError("unreadable", error.message, SAME_RELEASE))
        elif error.code == "version" or self._state.phase is not Phase.READY:
            self._refuse(error.message, SAME_RELEASE)
            self._over = True

    def _greeted(self, reply: Reply) -> None:
        match reply:
            case Welcome():
                self._become(State(Phase.READY, reply.model_name, welcome=reply))
            case Error(code="loading"):
                self._become(State(Phase.LOADING, reply.message, reply.hint))
            case Error():
                self._refuse(reply.message, reply.hint)
            case _:
                self._refuse(f"a {type(reply).__name__} is no answer to a Hello", SAME_RELEASE)

    def _become(self, state: State) -> None:
        self._state = state
        self._report(state)

    def _refuse(self, why: str, hint: str) -> None:
        self._become(replace(self._state, phase=Phase.REFUSED, detail=why, hint=hint))

    def _closed(self) -> None:
        if self._state.phase in (Phase.READY, Phase.LOADING):
            self._lose("the backend closed the connection")
        elif self._state.phase is Phase.CONNECTING:
            self._lose(f"nothing answers on {self._endpoint}: the backend of the connection file has ended")

    def _lose(self, why: str) -> None:
        self._loss = RequestError("lost", why, AGAIN)
        self._become(replace(self._state, phase=Phase.LOST, detail=why, hint=AGAIN))
        self._over = True

    def _watch(self) -> None:
        now = time.monotonic()
        ready = self._state.phase is Phase.READY
        if now - self._spoken > (_PING_EVERY_S if ready else HELLO_EVERY_S):
            if ready:
                self._send(Ping())
            else:
                self._greet()
        self._silent += min(now - self._watched, _AWAKE_S)
        self._watched = now
        if self._silent > _SILENCE_S:
            self._lose(f"the backend has been silent for {_SILENCE_S:.0f} s")
            self.fell_silent = ready
        for request_id in [i for i, pending in self._pending.items() if now > pending.deadline]:
            error = RequestError("timeout", "the backend did not answer in time", "see its log, or start it again")
            self._pending.pop(request_id).fail(error)
