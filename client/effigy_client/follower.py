# SPDX-License-Identifier: Apache-2.0
"""Keeps one face's picture up to date while it moves. Late answers change nothing.

While something moves, pictures are the fastest that the service has; at rest the exact one takes their place. Exact
pictures stay in memory under what they were made from, so that going back to a pose asks for nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

from effigy_protocol.messages import Frame

from .errors import RequestError
from .face import OPEN_S, Anchor, Face, Identities, PendingPicture
from .limits import Limits
from .link import Link
from .memory import PictureMemory
from .outbox import Painted, Preview, converted
from .parameters import PictureParameters
from .pixels import Maps, Pixels, Surface

# Without a change or a new picture, until the exact one is asked for: after a slow preview the hand may go on at once.
_REST_S = 0.15
_SLOW_MS = 100.0  # painting that takes longer follows a hand at half the size
_SAME_MOVE_S = 0.5  # pictures farther apart belong to different movements
_SAME_LOOK_S = 0.005  # a picture that was replaced sooner does not count: nobody has seen it
_EARLY_S = 0.005  # pictures may take a little less than the one before


class ScreenError(Exception):
    """A picture cannot be shown; the message says why, and what to do."""


class Screen(Protocol):
    """What shows one face's picture: a plate in a scene, a page, a list in a test."""

    def show(self, pixels: Pixels, place: Any, maps: Maps | None) -> None:
        """Shows a picture at ``place``, the argument of ``Follower.want``; None leaves it where it is.

        ``maps`` are those for relighting it; None: it is not lit. The arrays are lent: after the call they will hold
        other pictures. Raises ScreenError.
        """

    def show_error(self) -> None:
        """Shows an error picture, which cannot be mistaken for a face."""


@dataclass(frozen=True, slots=True)
class _Tag:
    """What belongs to a preview's request."""

    epoch: int
    anchor: Anchor
    number: int
    parameters: PictureParameters
    place: Any


@dataclass(frozen=True, slots=True)
class _Refining:
    """An exact picture on its way."""

    asked: PendingPicture
    painted: Future[Painted]
    epoch: int
    anchor: Anchor
    number: int


@dataclass(slots=True)
class Shared:
    """State that all followers of one program share; ``Followers`` owns it."""

    memory: PictureMemory
    epoch: int = 0  # pictures that were asked for in an earlier epoch are not shown any more


class Follower:
    """Follows one face: what is wanted, what is shown, and whether that is exact. Only its own methods change that."""

    def __init__(self, stream: int, shared: Shared, clock: Callable[[], float] = time.monotonic) -> None:
        self.stream = stream
        self.face = Face()
        self.wanted: PictureParameters | None = None  # what was asked for last
        self.shown: PictureParameters | None = None  # what the picture on the screen was made from; None: nothing valid
        self.is_exact = False  # whether that is what a final would be
        self.is_known = False  # whether this program knows what the screen shows
        self.problem = ""
        self.limits = Limits()  # of the picture that is shown
        self.milliseconds = 0.0  # from asking to pixels, of the last preview
        self.rate = 0.0  # pictures per second while moving
        self._shared = shared
        self._clock = clock
        self._number = 0  # counts requests
        self._showing = 0  # which of them the screen shows: an answer that comes late must not replace a newer one
        self._changed = 0.0  # when something was asked for last
        self._drawn = 0.0  # when a picture came last
        self._gap = 0.0  # seconds between two pictures while moving
        self._refining: _Refining | None = None
        self._refused = -1  # the pose whose exact picture could not be had
        self._painting = 0.0  # the service's own milliseconds for a picture of full size
        self._took = 0.0  # milliseconds from asking to the answer, of the last preview

    # --- what is known ----------------------------------------------------------------------------

    @property
    def is_right(self) -> bool:
        """Whether the screen shows the exact picture of what is wanted now."""
        return self.is_exact and self.shown is not None and self.shown == self.wanted

    @property
    def is_waiting(self) -> bool:
        """Whether an identity or an exact picture is on its way, or an identity may be opened now."""
        return self._refining is not None or self.face.is_unsettled

    @property
    def may_refine(self) -> bool:
        """Whether the exact picture of what is shown can still be asked for."""
        return self.shown is not None and not self.is_exact and self._refused != self._number

    @property
    def is_busy(self) -> bool:
        return self._refining is not None or self.face.is_opening or self.may_refine

    @property
    def due(self) -> float:
        """When the preview on its way can be expected, from how long the last one took."""
        return self._changed + 1e-3 * self._took - _EARLY_S

    # --- what its host says -----------------------------------------------------------------------

    def begin_anew(self) -> None:
        """Forgets what is on the screen, which an undo may have changed. A problem that lasts is reported again."""
        self.wanted, self.shown, self.problem = None, None, ""

    def lose(self) -> None:
        """Has the identity opened again, because the service has lost it or was replaced by another one."""
        self.face.forget()
        self.wanted, self._refining, self.milliseconds = None, None, 0.0

    def fail(self, problem: str, screen: Screen) -> None:
        """Notes why there is no picture of what is wanted, and shows an error picture."""
        self.wanted = None
        if self.problem != problem:
            self.problem, self.shown = problem, None
            screen.show_error()

    def take_over(self, parameters: PictureParameters | None) -> None:
        """Notes that the host shows the picture with ``parameters``, or for None an unknown one."""
        self.is_known = True
        if parameters is not None:
            self.shown, self.problem = parameters, ""

    def take_final(self, parameters: PictureParameters, limits: Limits) -> None:
        """Notes that the host shows a final that it has asked for itself."""
        self.shown = self.wanted = parameters
        self.is_exact, self.is_known, self.problem, self.limits = True, True, "", limits

    # --- what a look does -------------------------------------------------------------------------

    def open(self, identities: Identities, anchor: Anchor, screen: Screen) -> bool:
        """Opens the identity without waiting; True when the scene must be read again."""
        try:
            if self.face.poll(identities, anchor):
                self.problem, self.wanted = "", None
                return True
        except RequestError as error:
            self.fail(str(error), screen)
        return False

    def want(self, link: Link, anchor: Anchor, parameters: PictureParameters, place: Any, screen: Screen) -> None:
        """Shows the picture with ``parameters`` from memory, or asks for it, unless that was done already."""
        if not self.face.key or parameters == self.wanted or self.recall(anchor, parameters, place, screen):
            return
        self._ask_for(parameters)
        request = parameters.request(self.face.key, "preview", stream=self.stream, half=self._painting > _SLOW_MS)
        link.preview(request, _Tag(self._shared.epoch, anchor, self._number, parameters, place))

    def recall(self, anchor: Anchor, parameters: PictureParameters, place: Any, screen: Screen) -> bool:
        """Shows the exact picture if it is remembered; returns whether it is."""
        remembered = self._shared.memory.get(key_of(anchor, parameters))
        if remembered is None:
            return False
        self._ask_for(parameters)
        self.limits = remembered.limits
        self._show(parameters, place, self._number, remembered.pixels, remembered.maps, screen, exact=True)
        self._shared.memory.give_back(remembered)
        return True

    def receive(self, preview: Preview, anchor: Anchor, height: int | None, screen: Screen) -> bool:
        """Shows a preview that came, if it is still of use; True when the scene must be read again.

        ``anchor`` is who the face is now, ``height`` that of the screen, which tells pictures of full size.
        """
        if isinstance(preview.outcome, RequestError):
            return self._refuse(preview.outcome, screen)
        tag: _Tag = preview.tag
        painted = preview.outcome
        frame = painted.frame
        self._remember(tag.anchor, tag.parameters, frame, painted.surface)
        if tag.epoch != self._shared.epoch or tag.anchor != anchor:
            # Asked before a render or an undo, or of somebody else.
            self.wanted = None
            return True
        if tag.number <= self._showing:
            return False
        timings = frame.timings
        if frame.height == height:
            self._painting = timings.inverse_ms + timings.synthesis_ms + timings.encode_ms
        now = self._clock()
        self.milliseconds, self._took = 1e3 * (now - preview.asked), 1e3 * (preview.finished - preview.asked)
        if _SAME_LOOK_S < (gap := now - self._drawn) < _SAME_MOVE_S:
            self._gap = self._gap + 0.2 * (gap - self._gap) if self._gap else gap
            self.rate = 1 / self._gap
        self._drawn = now
        if self._show(tag.parameters, tag.place, tag.number, painted.pixels, painted.maps, screen, exact=frame.exact):
            self.limits = Limits.of(frame, tag.parameters.controls)
        return False

    def refine(self, link: Link, anchor: Anchor, screen: Screen) -> bool:
        """Asks for the exact picture at rest, and shows it when it comes; True when the scene must be read again."""
        if self._refining is not None and self._refining.painted.done():
            refining, self._refining = self._refining, None
            return self._refined(refining, anchor, screen)
        at_rest = self.shown == self.wanted and self._clock() - max(self._changed, self._drawn) > _REST_S
        if at_rest and self.may_refine and self._refining is None and self.face.key and self.shown is not None:
            asked = self.face.ask(link, self.shown, OPEN_S)
            matte = self.shown.matte
            painted = converted(asked.answer, lambda frame: Painted.of(frame, matte))
            self._refining = _Refining(asked, painted, self._shared.epoch, anchor, self._number)
        return False

    def _refined(self, refining: _Refining, anchor: Anchor, screen: Screen) -> bool:
        parameters = refining.asked.parameters
        try:
            frame, painted = refining.asked.result(), refining.painted.result()
        except RequestError as error:
            self._refused = refining.number  # not again before something changes
            if error.may_ask_at_once:
                self.wanted = None
                return True
            self.problem = str(error)
            return False
        self._remember(refining.anchor, parameters, frame, painted.surface)
        if (refining.epoch, refining.anchor, refining.number) != (self._shared.epoch, anchor, self._number):
            return False
        # The picture stays where it is: the head may have moved in its plane meanwhile.
        if self._show(parameters, None, refining.number, painted.pixels, painted.maps, screen, exact=True):
            self.limits, self._painting = Limits.of(frame, parameters.controls), 0.0  # the next movement measures anew
        return False

    def _refuse(self, error: RequestError, screen: Screen) -> bool:
        self.wanted = None
        if not error.may_ask_at_once:
            self.fail(str(error), screen)
            return False
        if error.has_forgotten:
            self.lose()
        return True

    def _ask_for(self, parameters: PictureParameters) -> None:
        self.wanted, self._changed, self._number = parameters, self._clock(), self._number + 1

    def _remember(self, anchor: Anchor, parameters: PictureParameters, frame: Frame, surface: Surface | None) -> None:
        """Keeps an exact picture under what it was made from."""
        if frame.exact:
            key, size = key_of(anchor, parameters), (frame.height, frame.width)
            self._shared.memory.put(key, frame.data, *size, Limits.of(frame, parameters.controls), surface)

    def _show(
        self,
        parameters: PictureParameters,
        place: Any,
        number: int,
        pixels: Pixels,
        maps: Maps | None,
        screen: Screen,
        *,
        exact: bool,
    ) -> bool:
        try:
            screen.show(pixels, place, maps)
        except ScreenError as error:
            self.fail(str(error), screen)
            return False
        self.shown, self._showing, self.is_exact, self.problem = parameters, number, exact, ""
        self.is_known = True
        return True


Key = tuple[Anchor, PictureParameters]


def key_of(anchor: Anchor, parameters: PictureParameters) -> Key:
    """Returns the key under which the exact picture of a face is remembered."""
    return anchor, parameters
