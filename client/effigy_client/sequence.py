# SPDX-License-Identifier: Apache-2.0
"""Goes through a frame range and gets its exact pictures, for baking and caching.

Several requests are sent ahead, so that the service is never idle. If the backend dies, it is started again where this
program started it, and waited for otherwise; then the requests that it left unanswered are sent again.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent import futures
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from effigy_protocol.messages import HEAD_UNIT, Cancel, Encoding, Frame, PassName

from .errors import RequestError
from .face import OPEN_S, Anchor, Face, Identities, PendingPicture
from .parameters import PictureParameters
from .restarts import Restarts, Supply

_AHEAD = 8  # requests on their way, twice what the backend paints at once
_PAUSE_S = 0.002  # less than any picture takes


class HasParameters(Protocol):
    """What is read of a frame: the picture's parameters, and whatever its reader wants back with the picture."""

    @property
    def parameters(self) -> PictureParameters: ...


M = TypeVar("M", bound=HasParameters)


class SequenceError(Exception):
    """The sequence cannot continue; the message says why."""


@dataclass(frozen=True, slots=True)
class Step(Generic[M]):
    """A frame that is done; ``picture`` is None if it was skipped."""

    frame: int
    moment: M
    picture: Frame | None


@dataclass(slots=True)
class _Entry(Generic[M]):
    frame: int
    moment: M
    asked: PendingPicture | None = None  # None if it is skipped


class Sequence(Generic[M]):
    """Goes through frames, step by step, without waiting."""

    def __init__(
        self,
        supply: Supply,
        face: Face,
        anchor: Anchor,
        frames: range,
        read: Callable[[int], M],
        skip: Callable[[int, M], bool],
        patience: Callable[[], float],
        encoding: Encoding = "rgba8",
        passes: tuple[PassName, ...] = (),
        metres: Callable[[int], tuple[float, float]] = lambda frame: (HEAD_UNIT, 0.0),
    ) -> None:
        """Prepares a sequence; nothing is asked for before ``step``.

        Args:
            supply: the backend.
            face: the face whose identity is opened and kept.
            anchor: who it is.
            frames: their numbers.
            read: returns what a frame asks for.
            skip: returns whether a frame needs no picture.
            patience: seconds that a picture may take, and a backend until it is back.
            encoding: of the pictures.
            passes: that come with every picture.
            metres: of a frame, as in ``PictureParameters.request``.
        """
        self.total = len(frames)
        self.done = 0
        self._supply, self._face, self._anchor = supply, face, anchor
        self._read, self._skip, self._patience = read, skip, patience
        self._encoding, self._passes, self._metres = encoding, passes, metres
        self._waiting = deque(frames)
        self._asked: deque[_Entry[M]] = deque()
        self._again: deque[_Entry[M]] = deque()  # frames that are read already, to be asked for again
        self._restarts = Restarts(supply)
        self._lost_since: float | None = None
        if face.refusal is not None:
            face.forget()  # a user who starts this wants a refused identity to be tried again

    @property
    def is_done(self) -> bool:
        return self.done == self.total

    def step(self) -> list[Step[M]]:
        """Returns the frames finished since the last step, in order, and asks for more if there are none.

        Raises SequenceError, or what ``read`` raises.
        """
        finished: list[Step[M]] = []
        while self._asked and (self._asked[0].asked is None or self._asked[0].asked.is_done):
            entry = self._asked.popleft()
            try:
                picture = entry.asked.result() if entry.asked is not None else None
            except RequestError as error:
                self._recover(entry, error)
                break
            self.done += 1
            self._lost_since = None
            finished.append(Step(entry.frame, entry.moment, picture))
        if not finished:
            self._send()
        return finished

    def wait(self, seconds: float) -> None:
        """Waits for the next answer, at most ``seconds``."""
        if self._asked and self._asked[0].asked is not None:
            futures.wait([self._asked[0].asked.answer], timeout=seconds)
        else:  # a skipped frame is next, an identity is being opened, or a backend starts
            pause()

    def stop(self) -> None:
        """Cancels what is not painted yet."""
        identities = self._supply.identities
        if identities is not None and any(e.asked is not None and not e.asked.is_done for e in self._asked):
            identities.link.ask(Cancel(), OPEN_S)  # previews are cancelled too, and then asked for again

    def _send(self) -> None:
        identities = self._supply.identities
        if identities is None or not self._is_open(identities):
            if identities is None:
                self._wait_for_backend(RequestError("no-backend", "there is no backend", "start it"))
            return
        while len(self._asked) < _AHEAD and (self._again or self._waiting):
            entry = self._again.popleft() if self._again else self._next(self._waiting.popleft())
            if not self._skip(entry.frame, entry.moment):
                entry.asked = self._face.ask(
                    identities.link, entry.moment.parameters, self._patience(), self._encoding, self._passes,
                    self._metres(entry.frame),
                )  # fmt: skip
            self._asked.append(entry)

    def _next(self, frame: int) -> _Entry[M]:
        return _Entry(frame, self._read(frame))

    def _is_open(self, identities: Identities) -> bool:
        """Opens the identity without waiting; returns whether it is open."""
        link = identities.link
        if not self._face.key and not self._face.is_opening and not link.is_ready:
            self._wait_for_backend(RequestError("no-backend", link.state.detail, link.state.hint))
            return False
        try:
            self._face.poll(identities, self._anchor)
        except RequestError as error:
            self._wait_for_backend(error)
        return bool(self._face.key)

    def _recover(self, entry: _Entry[M], error: RequestError) -> None:
        """Puts back all frames on their way, to be asked for again in the same order."""
        for each in (entry, *self._asked):
            each.asked = None
        self._again.extendleft(reversed([entry, *self._asked]))
        self._asked.clear()
        self._face.forget()
        self._wait_for_backend(error)

    def _wait_for_backend(self, error: RequestError) -> None:
        """Starts a backend again that has died. Raises SequenceError if waiting cannot help, or took too long."""
        now = time.monotonic()
        self._lost_since = self._lost_since or now
        try:
            if now - self._lost_since > self._patience():
                raise error
            self._restarts.recover(error)
        except RequestError as final:
            raise SequenceError(str(final)) from None


def pause() -> None:
    """Sleeps for 2 ms, for scripts that wait for an answer."""
    time.sleep(_PAUSE_S)
