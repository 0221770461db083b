# SPDX-License-Identifier: Apache-2.0
"""The I/O loop: reads requests, answers at once what needs no model, and passes on what the worker paints."""

from __future__ import annotations

import time

import structlog
import zmq

from protocol import Envelope, ProtocolError, decode_request, encode
from protocol.errors import ErrorCode
from protocol.messages import (
    Cancel,
    Done,
    Error,
    Hello,
    Ping,
    Pong,
    Reply,
    Request,
    Status,
    StatusReport,
)

from .scheduler import Job, QueueFullError, Scheduler
from .worker import Worker

log = structlog.get_logger()

_POLL_MS = 200  # how soon a signal, a dead parent or idleness is noticed
_CLIENT_GONE_S = 30.0  # a client that sends nothing, not even a Ping, has left

_HINTS = {
    "malformed": "send messages of Effigy's protocol; see docs/protocol.md",
    "too-large": "send a smaller message",
    "version": "install the add-on and the backend from the same release",
    "unknown-kind": "install the add-on and the backend from the same release",
    "bad-field": "see docs/protocol.md for this message's fields",
}


class Server:
    """Owns the ROUTER socket; its owner calls ``step`` until that says to leave, then ``leave``."""

    def __init__(
        self, router: zmq.Socket[bytes], outbox: zmq.Socket[bytes], worker: Worker, scheduler: Scheduler
    ) -> None:
        self._router = router
        self._outbox = outbox
        self._worker = worker
        self._scheduler = scheduler
        self._clients: dict[bytes, float] = {}  # when each was last heard
        self._started = time.monotonic()
        self._last_heard = self._started
        self._stopping = False

    def stop(self) -> None:
        """Makes ``step`` say so soon; may be called from a signal handler or another thread."""
        self._stopping = True

    @property
    def idle_s(self) -> float:
        """Seconds since any client was heard."""
        return time.monotonic() - self._last_heard

    def step(self) -> bool:
        """Serves what arrives within _POLL_MS; False when it is time to leave."""
        for socket, _ in self._poll():
            if socket is self._router:
                self._receive()
            else:
                self._forward()
        self._forget_silent_clients()
        return not self._stopping

    def leave(self) -> None:
        """Tells everyone who waits that the service is leaving."""
        for job in self._scheduler.close():
            self._refuse(job, "shutting-down", "the backend is leaving", "start it again")
        while self._outbox.poll(0):
            self._forward()

    def _poll(self) -> list[tuple[zmq.Socket[bytes], int]]:
        poller = zmq.Poller()
        poller.register(self._router, zmq.POLLIN)
        poller.register(self._outbox, zmq.POLLIN)
        return poller.poll(_POLL_MS)

    def _forward(self) -> None:
        self._router.send_multipart(self._outbox.recv_multipart(copy=False), copy=False)

    def _receive(self) -> None:
        name, *rest = self._router.recv_multipart(copy=False)
        client, frames = name.bytes, [frame.buffer for frame in rest]
        self._last_heard = self._clients[client] = time.monotonic()
        try:
            envelope = decode_request(frames)
        except ProtocolError as error:
            log.warning("request refused", code=error.code, error=error.message)
            self._send(client, error.request_id or 0, Error(error.code, error.message, _HINTS[error.code]))
            return
        except Exception as error:  # no message may end the loop that serves everyone
            log.exception("request not understood")
            self._send(client, 0, Error("failed", f"{type(error).__name__}"[:100], "see the backend's log"))
            return
        reply = self._answer(client, envelope)
        if reply is not None:
            self._send(client, envelope.id, reply)

    def _answer(self, client: bytes, envelope: Envelope[Request]) -> Reply | None:
        """The reply to what needs no model; None for what now waits for the worker."""
        match envelope.message:
            case Ping():
                return Pong()
            case Status():
                return self._status()
            case Cancel(ids):
                jobs = self._scheduler.cancel(client, ids)
                for job in jobs:
                    self._refuse(job, "cancelled", "cancelled by its client", "ask again if it is wanted")
                return Done(len(jobs))
            case Hello(name):
                log.info("client", name=name[:100])
                return self._worker.welcome or self._not_ready()
            case work:
                if self._worker.welcome is None:
                    return self._not_ready()
                return self._enqueue(Job(client, envelope.id, work))

    def _enqueue(self, job: Job) -> Reply | None:
        try:
            superseded = self._scheduler.add(job)
        except QueueFullError:
            return Error("busy", "too many requests of this client wait", "wait for answers before asking for more")
        if superseded is not None:
            self._refuse(superseded, "superseded", "a newer preview took its place", "nothing: the newer one is coming")
        return None

    def _not_ready(self) -> Error:
        if self._worker.phase == "failed":
            return Error("failed", self._worker.detail, "run: effigy doctor")
        return Error("loading", self._worker.detail, "try again in a moment")

    def _status(self) -> StatusReport:
        welcome = self._worker.welcome
        return StatusReport(
            phase=self._worker.phase,
            detail=self._worker.detail,
            device=welcome.device if welcome else "",
            uptime_s=time.monotonic() - self._started,
            clients=len(self._clients),
            identities=self._worker.identities,
            queued=len(self._scheduler),
            painted=self._worker.painted,
        )

    def _forget_silent_clients(self) -> None:
        now = time.monotonic()
        silent = [c for c, heard in self._clients.items() if now - heard > _CLIENT_GONE_S]
        for client in [c for c in silent if not self._scheduler.waits(c)]:  # who waits for answers may be silent
            log.info("client gone")
            del self._clients[client]
            self._scheduler.forget(client)

    def _refuse(self, job: Job, code: ErrorCode, message: str, hint: str) -> None:
        self._send(job.client, job.id, Error(code, message, hint))

    def _send(self, client: bytes, request_id: int, reply: Reply) -> None:
        self._router.send_multipart([client, *encode(request_id, reply)], copy=False)
