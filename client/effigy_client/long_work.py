# SPDX-License-Identifier: Apache-2.0
"""Long work of the service, from asking for it to its result; and reading pictures, which is such work."""

from __future__ import annotations

import time
from concurrent.futures import Future
from typing import Any, Generic, Protocol, TypeVar, cast

from effigy_protocol import MAX_FILE_BYTES
from effigy_protocol.messages import (
    Buffer,
    CancelJob,
    Job,
    JobStatus,
    PictureRead,
    ReadPicture,
    Request,
    Working,
    pieces,
)

from .errors import RequestError

_EVERY_S = 0.2  # how often the service is asked how far it is
_ANSWER_S = 30.0

R = TypeVar("R")


class Asks(Protocol):
    """What can ask for replies, such as a ``Link``."""

    def ask(self, request: Request, timeout: float) -> Future[Any]:
        """Asks. The future yields the reply or raises RequestError."""


class LongWork(Generic[R]):
    """Long work that was asked for. Call ``poll`` from time to time; it asks the service for the progress."""

    def __init__(self, link: Asks, request: Request) -> None:
        self.share = 0.0  # of it that is done
        self.stage = "asked"
        self.preview: Buffer | None = None  # the picture file that was told last
        self._link = link
        self._job = ""
        self._answer: Future[Any] | None = link.ask(request, _ANSWER_S)
        self._asked = time.monotonic()

    def poll(self) -> R | None:
        """Returns the result once, and None until then. Never blocks. Raises RequestError."""
        if self._answer is None:
            if self._job and time.monotonic() - self._asked > _EVERY_S:
                self._asked = time.monotonic()
                self._answer = self._link.ask(JobStatus(self._job), _ANSWER_S)
            return None
        if not self._answer.done():
            return None
        answer, self._answer = self._answer, None
        match answer.result():
            case Job(job):
                self._job = job
                return None
            case Working() as working:
                self.share, self.stage, self.preview = working.share, working.stage, working.preview or self.preview
                return None
            case result:
                self._job = ""
                return cast(R, result)

    def wait(self, seconds: float) -> R:
        """Waits for the result. Raises RequestError, at the latest after ``seconds``."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if (result := self.poll()) is not None:
                return result
            time.sleep(0.01)
        self.cancel()
        raise RequestError("timeout", f"not done within {seconds:.0f} s", "see the backend's log")

    def cancel(self) -> None:
        """Cancels the work."""
        if self._job:
            self._link.ask(CancelJob(self._job), _ANSWER_S)
        elif self._answer is not None:
            self._answer.add_done_callback(self._cancel_begun)
        self._job, self._answer = "", None

    def _cancel_begun(self, answer: Future[Any]) -> None:
        if answer.exception() is None and isinstance(job := answer.result(), Job):
            self._link.ask(CancelJob(job.job), _ANSWER_S)


def read_picture(
    link: Asks,
    data: bytes,  # a PNG, JPEG or WebP file
    face: int = 1,  # the largest being 1
    identity: str | None = None,  # an open one, whose own expression is told too
    *,
    painted: bool = False,  # by a generator; else photographed
    numbered: bool = False,  # its faces' numbers are to be shown
) -> LongWork[PictureRead]:
    """Asks for a picture to be read. Raises RequestError if it is too large."""
    if len(data) > MAX_FILE_BYTES:
        size = f"{len(data) / 2**20:.0f} MiB, more than {MAX_FILE_BYTES >> 20}"
        raise RequestError("too-large", f"the picture has {size}", "make it smaller")
    return LongWork(link, ReadPicture(pieces(data), face, identity, painted, numbered))
