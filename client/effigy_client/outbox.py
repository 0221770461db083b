# SPDX-License-Identifier: Apache-2.0
"""Hands requests from any thread to the sending thread, in order; of previews only the newest of each stream."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from effigy_protocol.messages import ANSWER_OF, Frame, MatteName, Reply, Request, Synthesize

from .errors import RequestError
from .pixels import Buffers, Maps, Pixels, Surface, from_rgba8


@dataclass(frozen=True, slots=True)
class Painted:
    """A painted picture in the forms that it is shown and kept in: its pixels, and where it is lit what relights it."""

    frame: Frame
    pixels: Pixels
    surface: Surface | None = None
    maps: Maps | None = None  # ``surface`` as it is shown

    @classmethod
    def of(cls, frame: Frame, matte: MatteName, buffers: Buffers | None = None) -> Painted:
        """Converts an answer of encoding "rgba8", asked for with this ``matte``, into arrays of ``buffers``.

        For the thread of the link: at 256 × 256 pixels a lit picture takes some milliseconds, which a window's thread
        has not.
        """
        pixels = from_rgba8(frame.data, frame.height, frame.width, doubled=frame.half, buffers=buffers)
        surface = Surface.of(frame, matte)
        return cls(frame, pixels, surface, surface.pixels(buffers) if surface is not None else None)

    @property
    def arrays(self) -> tuple[Pixels, ...]:
        """What came from the buffers."""
        return (self.pixels, *(self.maps or ()))


@dataclass(frozen=True, slots=True)
class Preview:
    """A finished preview: painted, or the error. ``tag`` is the caller's own, from the request."""

    stream: int
    tag: Any
    asked: float  # time.monotonic()
    finished: float
    outcome: Painted | RequestError


@dataclass(slots=True)
class Pending:
    """A request on its way: what is called with the answer, and by when that must have come."""

    answer: type[Reply] | tuple[type[Reply], ...]  # what it must be, unless it is an Error
    deliver: Callable[[Any], None]
    fail: Callable[[RequestError], None]
    timeout: float  # seconds from being sent
    deadline: float = 0.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """A preview that waits to be sent."""

    request: Synthesize
    tag: Any
    asked: float


class Outbox:
    """What waits to be sent, and finished previews. Safe to use from several threads."""

    def __init__(self) -> None:
        self._requests: queue.SimpleQueue[tuple[Request, Pending]] = queue.SimpleQueue()
        self._finished: queue.SimpleQueue[Preview] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._wanted: dict[int, Wanted] = {}  # by stream
        self._in_flight: set[int] = set()  # streams with a preview on its way

    # --- who asks ---------------------------------------------------------------------------------

    def ask(self, request: Request, timeout: float) -> Future[Any]:
        """Asks. The future yields the reply or raises RequestError, at the latest ``timeout`` seconds after sending."""
        future: Future[Any] = Future()
        pending = Pending(ANSWER_OF[type(request)], future.set_result, future.set_exception, timeout)
        self._requests.put((request, pending))
        return future

    def want(self, request: Synthesize, tag: Any) -> None:
        """Asks for a preview, instead of the one of that stream that still waits."""
        with self._lock:
            self._wanted[request.stream] = Wanted(request, tag, time.monotonic())

    def previews(self) -> list[Preview]:
        """Returns the previews that finished since the last call."""
        finished = []
        with contextlib.suppress(queue.Empty):
            while True:
                finished.append(self._finished.get_nowait())
        return finished

    @property
    def has_previews(self) -> bool:
        """Whether ``previews`` would return any."""
        return not self._finished.empty()

    @property
    def streams(self) -> set[int]:
        """The streams with a preview that waits or is on its way."""
        with self._lock:
            return {*self._wanted, *self._in_flight}

    # --- who sends --------------------------------------------------------------------------------

    def requests(self) -> Iterator[tuple[Request, Pending]]:
        """Takes the waiting requests one by one; the caller must answer each."""
        with contextlib.suppress(queue.Empty):
            while True:
                yield self._requests.get_nowait()

    def take_wanted(self) -> Iterator[Wanted]:
        """Takes the waiting previews one by one, of streams with none on its way; the caller must ``finish`` each."""
        while True:
            with self._lock:
                stream = next((stream for stream in self._wanted if stream not in self._in_flight), None)
                if stream is None:
                    return
                self._in_flight.add(stream)
                wanted = self._wanted.pop(stream)
            yield wanted

    def finish(self, preview: Preview) -> None:
        """Hands over a preview that ``take_wanted`` gave out."""
        self._finished.put(preview)  # first, so that it is always either in flight or finished
        with self._lock:
            self._in_flight.discard(preview.stream)

    def abandon(self, error: RequestError) -> None:
        """Fails everything that waits to be sent."""
        for _, pending in self.requests():
            pending.fail(error)
        with self._lock:
            waiting, self._wanted = self._wanted, {}
        for stream, wanted in waiting.items():
            self._finished.put(Preview(stream, wanted.tag, wanted.asked, time.monotonic(), error))


_Answer = TypeVar("_Answer")
_Result = TypeVar("_Result")


def converted(answer: Future[_Answer], convert: Callable[[_Answer], _Result]) -> Future[_Result]:
    """Returns a future of ``convert`` of an answer, which runs in the thread that delivers it."""
    result: Future[_Result] = Future()

    def deliver(answered: Future[_Answer]) -> None:
        try:
            result.set_result(convert(answered.result()))
        except Exception as error:  # noqa: BLE001 whoever waits for the result is told
            result.set_exception(error)

    answer.add_done_callback(deliver)
    return result
