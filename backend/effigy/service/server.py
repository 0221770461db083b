# SPDX-License-Identifier: Apache-2.0
"""The I/O loop: reads requests, answers what needs no model at once, and queues the rest for the worker."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Any

import structlog
import zmq

from effigy_protocol import Envelope, ProtocolError, decode_request
from effigy_protocol.errors import ErrorCode
from effigy_protocol.messages import (
    Cancel,
    CancelJob,
    Done,
    Error,
    Hello,
    JobStatus,
    Ping,
    Pong,
    Reply,
    Request,
    Status,
    StatusReport,
)

from .answers import answer
from .authentication import Authenticator
from .logs import client_name
from .outbox import LeftError, Outbox
from .refusals import refusal
from .scheduler import Queued, QueueFullError, Scheduler
from .worker import Worker

log = structlog.get_logger()

_POLL_MS = 200  # how soon a signal, a dead parent or idleness is noticed
_FLUSH_MS = 10  # how soon a client that takes its answers slowly gets the next ones
_CLIENT_GONE_S = 30.0  # a client that sends nothing, not even a Ping, has left
_LEAVE_S = 0.5  # for last answers that clients are slow to take


class Server:
    """Owns the ROUTER socket. Its owner calls ``step`` until that returns False, then ``leave``."""

    def __init__(
        self,
        router: zmq.Socket[bytes],
        replies: zmq.Socket[bytes],
        worker: Worker,
        scheduler: Scheduler,
        authenticator: Authenticator,
    ) -> None:
        self._router = router
        self._replies = replies
        self._outbox = Outbox(router)
        self._worker = worker
        self._scheduler = scheduler
        self._authenticator = authenticator
        self._clients: OrderedDict[bytes, float] = OrderedDict()  # when last heard, oldest first
        self._held: set[bytes] = set()  # clients that do not take their answers
        self._started = time.monotonic()
        self._last_heard = self._started
        self._stopping = False

    def stop(self) -> None:
        """Makes ``step`` return False soon. May be called from a signal handler or another thread."""
        self._stopping = True

    @property
    def idle_s(self) -> float:
        """Seconds since the last message of any client."""
        return time.monotonic() - self._last_heard

    def step(self) -> bool:
        """Handles what arrives within _POLL_MS; returns False when the service is to leave."""
        for socket, _ in self._poll():
            if socket is self._router:
                self._receive()
            elif socket is self._authenticator.asked:
                self._authenticator.answer()
            else:
                self._forward()
        self._flush()
        self._forget_silent_clients()
        return not self._stopping

    def leave(self) -> None:
        """Answers all that still wait that the service is shutting down."""
        for queued in self._scheduler.close():
            self._refuse(queued, "shutting-down", "the backend is ending", "start it again")
        while self._replies.poll(0):
            self._forward()
        end = time.monotonic() + _LEAVE_S
        while not self._outbox.is_empty and time.monotonic() < end:
            self._flush()
            time.sleep(1e-3 * _FLUSH_MS)

    def _poll(self) -> list[tuple[zmq.Socket[bytes], int]]:
        poller = zmq.Poller()
        poller.register(self._router, zmq.POLLIN)
        poller.register(self._replies, zmq.POLLIN)
        poller.register(self._authenticator.asked, zmq.POLLIN)
        return poller.poll(_POLL_MS if self._outbox.is_empty else _FLUSH_MS)

    def _forward(self) -> None:
        client, *frames = self._replies.recv_multipart(copy=False)
        self._post(client.bytes, frames)

    def _flush(self) -> None:
        for client in self._outbox.flush():
            self._drop(client)
        for client in [client for client in self._held if not self._outbox.is_full(client)]:
            self._held.discard(client)
            self._scheduler.resume(client)

    def _receive(self) -> None:
        name, *rest = self._router.recv_multipart(copy=False)
        client, frames = name.bytes, [frame.buffer for frame in rest]
        self._last_heard = self._clients[client] = time.monotonic()
        self._clients.move_to_end(client)
        try:
            envelope = decode_request(frames)
            reply = self._answer(client, envelope, _size(frames))
        except ProtocolError as error:
            log.warning("request refused", client=client_name(client), code=error.code, error=error.message)
            self._send(client, error.request_id or 0, refusal(error))
            return
        except Exception as error:  # no message may end the loop that serves everyone
            log.exception("request not understood", client=client_name(client))
            self._send(client, 0, Error("failed", type(error).__name__, "see the backend's log"))
            return
        if reply is not None:
            self._send(client, envelope.id, reply)

    def _answer(self, client: bytes, envelope: Envelope[Request], size: int) -> Reply | None:
        """Returns the reply to what needs no model; None for a request that now waits for the worker."""
        match envelope.message:
            case Ping():
                return Pong()
            case Status():
                return self._status()
            case Cancel(ids):
                cancelled = self._scheduler.cancel(client, ids)
                for queued in cancelled:
                    self._refuse(queued, "cancelled", "cancelled by its client", "ask again if it is wanted")
                return Done(len(cancelled))
            case JobStatus(job):
                return self._worker.jobs.status(client, job)
            case CancelJob(job):
                return Done(int(self._worker.jobs.cancel(client, job)))
            case Hello(name):
                if self._worker.welcome is None:
                    return self._not_ready()
                log.info("client", client=client_name(client), name=name[:100])
                return self._worker.welcome
            case work:
                if self._worker.welcome is None:
                    return self._not_ready()
                return self._enqueue(Queued(client, envelope.id, work, size))

    def _enqueue(self, queued: Queued) -> Reply | None:
        try:
            superseded = self._scheduler.add(queued)
        except QueueFullError as error:
            return Error("busy", str(error), "wait for answers before asking for more")
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
        while self._clients and now - next(iter(self._clients.values())) > _CLIENT_GONE_S:
            client = next(iter(self._clients))
            for queued in self._drop(client):
                why = f"its client was silent for {_CLIENT_GONE_S:.0f} s"
                self._refuse(queued, "cancelled", why, "send a Ping every second while nothing else is sent")

    def _drop(self, client: bytes) -> list[Queued]:
        """Forgets a client that has left, and returns what of it was still waiting."""
        self._outbox.forget(client)
        if self._clients.pop(client, None) is None:
            return []  # it is forgotten already
        log.info("client gone", client=client_name(client))
        self._held.discard(client)
        return self._scheduler.drop(client)

    def _refuse(self, queued: Queued, code: ErrorCode, message: str, hint: str) -> None:
        self._send(queued.client, queued.id, Error(code, message, hint))

    def _send(self, client: bytes, request_id: int, reply: Reply) -> None:
        """Answers, unless the client has more answers to read than may wait for it."""
        if self._outbox.is_full(client):
            log.warning("a client does not read its answers", client=client_name(client))
        else:
            self._post(client, answer(request_id, reply))

    def _post(self, client: bytes, frames: list[Any]) -> None:
        try:
            self._outbox.send(client, frames)
        except LeftError:
            self._drop(client)
            return
        if self._outbox.is_full(client) and client in self._clients:
            self._held.add(client)
            self._scheduler.hold(client)


def _size(frames: list[memoryview]) -> int:
    return sum(frame.nbytes for frame in frames)
