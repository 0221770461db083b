# SPDX-License-Identifier: Apache-2.0
"""The service of one client in its own process: the same answers, without a socket or a thread."""

from __future__ import annotations

import time
from collections.abc import Sequence

from effigy_protocol import Envelope, ProtocolError, decode_request
from effigy_protocol.messages import (
    Buffer,
    Cancel,
    CancelJob,
    Done,
    Hello,
    JobStatus,
    Ping,
    Pong,
    Reply,
    Request,
    Status,
    StatusReport,
)

from ..faces import FaceModel
from .answering import Answering
from .answers import answer
from .jobs import Jobs
from .refusals import refusal
from .scheduler import Queued

_CLIENT = b"in-process"


class InProcessService:
    """Answers messages at once on the calling thread. To be called from one thread only.

    ``effigy_client.transport.InProcess(InProcessService(model))`` is a client's connection to it.
    """

    def __init__(self, model: FaceModel) -> None:
        """``model`` is served, and closed by ``close``."""
        self._jobs = Jobs()
        self._answering = Answering(model, self._jobs)
        self._started = time.monotonic()

    def __call__(self, frames: Sequence[Buffer]) -> list[list[Buffer]]:
        """Decodes a message and returns the frames of each reply; there is exactly one."""
        try:
            envelope = decode_request(list(frames))
        except ProtocolError as error:
            return [answer(error.request_id or 0, refusal(error))]
        size = sum(memoryview(frame).nbytes for frame in frames)
        return [answer(envelope.id, self._reply(envelope, size))]

    def close(self) -> None:
        """Ends long work and closes the model."""
        self._answering.close()

    def _reply(self, envelope: Envelope[Request], size: int) -> Reply:
        match envelope.message:
            case Hello():
                return self._answering.welcome()
            case Ping():
                return Pong()
            case Status():
                return self._status()
            case Cancel():
                return Done(0)  # nothing waits
            case JobStatus(job):
                self._jobs.step()
                return self._jobs.status(_CLIENT, job)
            case CancelJob(job):
                return Done(int(self._jobs.cancel(_CLIENT, job)))
            case work:
                (reply,) = self._answering.answer([Queued(_CLIENT, envelope.id, work, size)])
                return reply

    def _status(self) -> StatusReport:
        model = self._answering.model
        return StatusReport(
            phase="ready",
            detail=model.name,
            device=str(model.generator.device),
            uptime_s=time.monotonic() - self._started,
            clients=1,
            identities=self._answering.identities,
            queued=0,
            painted=self._answering.painted,
        )
