# SPDX-License-Identifier: Apache-2.0
"""One life of the client's socket: greets the service, sends what waits, and delivers what comes back."""

from __future__ import annotations

import contextlib
import queue
import struct
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import zmq

from effigy_protocol import CURVE_BYTES, REPLY_LIMITS, ProtocolError, decode_reply, encode
from effigy_protocol.connection import Connection
from effigy_protocol.messages import Error, Frame, Hello, Ping, Reply, Request, Welcome

from .link import AGAIN, Link, Pending, Phase, Preview, RequestError
from .pixels import from_rgba8

if TYPE_CHECKING:
    from .client import Client

HELLO_EVERY_S = 0.25  # while connecting or while the model loads
_PING_EVERY_S = 1.0
_SILENCE_S = 10.0  # without any answer, the service is taken for dead
_AWAKE_S = 1.0  # the most of it that counts between two looks: this process may have stood still itself
_LOST = zmq.EVENT_DISCONNECTED | zmq.EVENT_CLOSED
_REFUSED = zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_AUTH
_SAME_RELEASE = "install the add-on and the backend from the same release"


class Exchange:
    """One life of the socket: from connecting until the service is lost or the client closes."""

    def __init__(self, client: Client, context: zmq.Context[Any], connection: Connection) -> None:
        self._client = client
        self._socket = context.socket(zmq.DEALER)
        try:
            _set_keys(self._socket, connection)
        except zmq.ZMQError:
            self._socket.close()
            raise
        self._socket.setsockopt(zmq.MAXMSGSIZE, REPLY_LIMITS.frame_bytes + CURVE_BYTES)
        self._socket.set_hwm(0)  # no answer is ever dropped
        self._socket.setsockopt(zmq.RECONNECT_IVL, -1)  # a lost connection is told, and another one looked for
        self._monitor = self._socket.get_monitor_socket(_LOST | _REFUSED)
        self._endpoint = connection.endpoint
        self._pending: dict[int, Pending] = {}
        self._greetings: set[int] = set()  # ids of hellos: over a slow line several are on their way
        self._watched = time.monotonic()
        self._silent = 0.0  # seconds, awake, since anything was heard
        self._spoken = 0.0
        self._loss = RequestError("lost", "the connection to the backend is lost", AGAIN)
        self._over = False

    def run(self) -> None:
        poller = zmq.Poller()
        wake = self._client.wake_receiver
        wake.setblocking(False)
        for source in (self._socket, self._monitor, wake):
            poller.register(source, zmq.POLLIN)
        try:
            self._socket.connect(self._endpoint)
            self._greet()
            while not (self._over or self._client.closing):
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
            self._client.abandon(self._loss)
            with self._client.lock:
                self._client.held.clear()
            self._socket.disable_monitor()
            self._monitor.close()
            self._socket.close()

    def _send(self, request: Request, pending: Pending | None = None) -> int:
        request_id = next(self._client.ids)
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
        self._greetings.add(self._send(Hello(self._client.name)))

    def _send_waiting(self) -> None:
        client = self._client
        if client.link.phase is not Phase.READY:
            return
        with contextlib.suppress(queue.Empty):
            while True:
                self._send(*client.outbox.get_nowait())
        with client.lock:
            streams = [stream for stream in client.slots if stream not in client.in_flight]
            client.in_flight.update(streams)
            ready = [client.slots.pop(stream) for stream in streams]
        for request, tag, asked in ready:
            self._send(request, self._preview_pending(request.stream, tag, asked))

    def _preview_pending(self, stream: int, tag: Any, asked: float) -> Pending:
        def finish(preview: Preview) -> None:
            self._client.finished.put(preview)  # before it is in flight no more: it is seen in one of both
            self._client.in_flight.discard(stream)

        def deliver(frame: Frame) -> None:
            if frame.encoding != "rgba8":
                fail(RequestError("unreadable", f"a preview came as {frame.encoding}", _SAME_RELEASE))
                return
            buffers = self._client.buffers
            pixels = from_rgba8(frame.data, frame.height, frame.width, doubled=frame.half, buffers=buffers)
            finish(Preview(stream, tag, asked, time.monotonic(), frame, pixels))

        def fail(error: RequestError) -> None:
            finish(Preview(stream, tag, asked, time.monotonic(), error=error))

        return Pending(Frame, deliver, fail, _SILENCE_S)

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
            elif pending := self._pending.pop(envelope.id, None):
                self._deliver(pending, reply)

    def _deliver(self, pending: Pending, reply: Reply) -> None:
        if isinstance(reply, Error):
            pending.fail(RequestError(reply.code, reply.message, reply.hint))
        elif isinstance(reply, pending.answer):
            pending.deliver(reply)
        else:
            pending.fail(RequestError("unreadable", f"a {type(reply).__name__} is no answer to this", _SAME_RELEASE))

    def _unreadable(self, error: ProtocolError) -> None:
        """A reply that cannot be read fails its own request; before the first Welcome, the connection."""
        if error.request_id in self._pending:
            self._pending.pop(error.request_id).fail(RequestError("unreadable", error.message, _SAME_RELEASE))
        elif error.code == "version" or self._client.link.phase is not Phase.READY:
            self._refuse(error.message, _SAME_RELEASE)
            self._over = True

    def _greeted(self, reply: Reply) -> None:
        match reply:
            case Welcome():
                self._client.link = Link(Phase.READY, reply.model_name, welcome=reply)
            case Error(code="loading"):
                self._client.link = Link(Phase.LOADING, reply.message, reply.hint)
            case Error():
                self._refuse(reply.message, reply.hint)
            case _:
                self._refuse(f"a {type(reply).__name__} is no answer to a Hello", _SAME_RELEASE)

    def _refuse(self, why: str, hint: str) -> None:
        self._client.link = replace(self._client.link, phase=Phase.REFUSED, detail=why, hint=hint)

    def _disconnected(self) -> None:
        while self._monitor.poll(0):
            what, _where = self._monitor.recv_multipart()  # zmq's own reader of it would import asyncio
            event, _detail = struct.unpack("=HI", what)
            if event & _REFUSED:
                self._refuse(f"what listens on {self._endpoint} is not the backend of the connection file", AGAIN)
                self._over = True
        if not self._over:
            self._closed()

    def _closed(self) -> None:
        self._over = True
        if self._client.link.phase in (Phase.READY, Phase.LOADING):
            self._lose("the backend closed the connection")
        elif self._client.link.phase is Phase.CONNECTING:
            self._lose(f"nothing answers on {self._endpoint}: the backend of the connection file has ended")

    def _lose(self, why: str) -> None:
        self._loss = RequestError("lost", why, AGAIN)
        self._client.link = replace(self._client.link, phase=Phase.LOST, detail=why, hint=AGAIN)
        self._over = True

    def _watch(self) -> None:
        now = time.monotonic()
        ready = self._client.link.phase is Phase.READY
        if now - self._spoken > (_PING_EVERY_S if ready else HELLO_EVERY_S):
            if ready:
                self._send(Ping())
            else:
                self._greet()
        self._silent += min(now - self._watched, _AWAKE_S)
        self._watched = now
        if self._silent > _SILENCE_S:
            self._lose(f"the backend has been silent for {_SILENCE_S:.0f} s")
            if ready:
                self._client.on_silence()
        for request_id in [i for i, pending in self._pending.items() if now > pending.deadline]:
            error = RequestError("timeout", "the backend did not answer in time", "see its log, or start it again")
            self._pending.pop(request_id).fail(error)


def _set_keys(socket: zmq.Socket[Any], connection: Connection) -> None:
    """Has each side prove that it has the connection file's keys, before the other takes a message."""
    secret = connection.client_key.encode()
    socket.curve_publickey, socket.curve_secretkey = zmq.curve_public(secret), secret
    socket.curve_serverkey = connection.service_key.encode()
