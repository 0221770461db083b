# SPDX-License-Identifier: Apache-2.0
"""Exact pictures of one moment after another: what baking and caching have in common.

A few are asked for ahead, so that the service never waits for who asks. A backend that dies on the way is started
again (if it is this program's own) or waited for, and what it had not answered is asked again.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent import futures
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from effigy_protocol.messages import HEAD_UNIT, Cancel, Encoding, Frame, PassName

from .asking import Asking
from .errors import RequestError
from .face import OPEN_S, Anchor, Asked, Face, Identities
from .provision import Provision

_AHEAD = 8  # on their way at once: twice what the backend paints together
_RESTARTS = 3  # of a dying backend, until it is taken for broken
_PAUSE_S = 0.002  # no longer than the shortest picture takes


class Moment(Protocol):
    """What a frame's picture is asked with, and whatever else its reader wants back with it."""

    @property
    def asking(self) -> Asking: ...


M = TypeVar("M", bound=Moment)


class SequenceError(Exception):
    """The sequence cannot go on; the message says why."""


class Supply(Protocol):
    """The backend that a sequence asks, which may come and go meanwhile."""

    @property
    def identities(self) -> Identities | None: ...

    @property
    def provision(self) -> Provision | None: ...

    def restart(self) -> None:
        """Starts a backend that has died again. Raises RequestError."""


@dataclass(frozen=True, slots=True)
class Step(Generic[M]):
    """One frame that is done; ``picture`` is None where ``skip`` said that there is one already."""

    frame: int
    moment: M
    picture: Frame | None


@dataclass(slots=True)
class _Entry(Generic[M]):
    frame: int
    moment: M
    asked: Asked | None = None  # None: nothing need be painted


class Sequence(Generic[M]):
    """Goes through frames, and never waits."""

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
        """``read`` says what a frame asks for, ``skip`` of which frames nothing need be painted.

        ``patience`` is how many seconds a picture may take, and a backend to come back; ``passes`` come with every
        picture; ``metres`` of a frame are as in Asking.request.
        """
        self.total = len(frames)
        self.done = 0
        self._supply, self._face, self._anchor = supply, face, anchor
        self._read, self._skip, self._patience = read, skip, patience
        self._encoding, self._passes, self._metres = encoding, passes, metres
        self._waiting = deque(frames)
        self._asked: deque[_Entry[M]] = deque()
        self._again: deque[_Entry[M]] = deque()  # read already, to be asked once more
        self._restarts = 0
        self._lost_since: float | None = None
        if face.refusal is not None:
            face.forget()  # who starts this wants it tried again

    @property
    def is_done(self) -> bool:
        return self.done == self.total

    def step(self) -> list[Step[M]]:
        """What is finished, in the order of frames. Raises SequenceError, or what ``read`` raises."""
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
        """Until the next answer is there, at most so long."""
        if self._asked and self._asked[0].asked is not None:
            futures.wait([self._asked[0].asked.answer], timeout=seconds)
        else:  # a frame that is kept comes first, an identity opens, or a backend starts
            pause()

    def stop(self) -> None:
        """Takes back what is not painted yet."""
        identities = self._supply.identities
        if identities is not None and any(e.asked is not None and not e.asked.is_done for e in self._asked):
            identities.link.ask(Cancel(), OPEN_S)  # previews among them are asked for again

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
                    identities.link, entry.moment.asking, self._patience(), self._encoding, self._passes,
                    self._metres(entry.frame),
                )  # fmt: skip
            self._asked.append(entry)

    def _next(self, frame: int) -> _Entry[M]:
        return _Entry(frame, self._read(frame))

    def _is_open(self, identities: Identities) -> bool:
        """Whether the identity is open; opens it without waiting."""
        link = identities.link
        if not self._face.key and not self._face.is_opening and not link.is_ready:
            self._wait_for_backend(RequestError("no-backend", link.state.detail, link.state.hint))
            return False
        try:
            self._face.look(identities, self._anchor)
        except RequestError as error:
            self._wait_for_backend(error)
        return bool(self._face.key)

    def _recover(self, entry: _Entry[M], error: RequestError) -> None:
        """Takes back all that is on its way, to be asked again in the same order."""
        for each in (entry, *self._asked):
            each.asked = None
        self._again.extendleft(reversed([entry, *self._asked]))
        self._asked.clear()
        self._face.forget()
        self._wait_for_backend(error)

    def _wait_for_backend(self, error: RequestError) -> None:
        """Raises SequenceError when waiting will not help, or has not for as long as ``patience`` says."""
        if not error.is_transient:
            raise SequenceError(str(error)) from None
        now = time.monotonic()
        self._lost_since = self._lost_since or now
        if now - self._lost_since > self._patience():
            raise SequenceError(str(error)) from None
        provision = self._supply.provision
        if provision is not None and provision.has_died:
            self._restarts += 1
            if self._restarts > _RESTARTS:
                raise SequenceError(f"the backend died {_RESTARTS} times: {provision.why_it_ended}") from None
            self._supply.restart()


def pause() -> None:
    """For scripts that wait for an answer."""
    time.sleep(_PAUSE_S)
