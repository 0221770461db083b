# SPDX-License-Identifier: Apache-2.0
"""A face at the service: opens its identity, asks for its pictures, and decides when to try again.

Previews, bakes and renders all open their faces here, so they fail and retry alike.
"""

from __future__ import annotations

import base64
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from effigy_protocol.messages import HEAD_UNIT, Encoding, Frame, FromLatent, Identity, OpenIdentity, PassName, Release

from .errors import RequestError
from .link import Link
from .parameters import PictureParameters

OPEN_S = 30.0  # timeout of opening an identity
_RELEASE_S = 30.0


@lru_cache(maxsize=8)
def _decoded(latent: str) -> bytes:
    """Decodes base64, and remembers it: a tuned person takes 3 ms, and a bake needs it in every frame."""
    try:
        return base64.b64decode(latent, validate=True)
    except ValueError:
        return b""


class Anchor(NamedTuple):
    """An identity as files keep it: its anchor latent, and the id of the model that this belongs to."""

    model: str
    latent: str  # base64, as files keep it

    def latent_bytes(self) -> bytes:
        """Returns the latent's bytes; b"" where the base64 is damaged, which every service refuses."""
        return _decoded(self.latent)

    def request(self) -> OpenIdentity:
        """Returns the request that opens it."""
        return OpenIdentity(FromLatent(self.latent_bytes(), self.model))


class Identities:
    """The identities that the service holds open for this client, over one link."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self._lock = threading.Lock()
        self._held: set[tuple[int, str]] = set()  # each with the number of the connection in which it was opened
        self._opening = 0  # open requests that are not answered yet

    def open(self, request: OpenIdentity) -> Future[Identity]:
        """Opens an identity and holds it. The future yields it, or raises RequestError."""
        with self._lock:
            self._opening += 1
        answer: Future[Identity] = self.link.ask(request, OPEN_S)
        answer.add_done_callback(self._opened)
        return answer

    def _opened(self, answer: Future[Identity]) -> None:
        with self._lock:
            self._opening -= 1
            if answer.exception() is None:
                self._held.add((self.link.connections, answer.result().identity))

    def release_all_but(self, used: set[str]) -> None:
        """Makes the service release those that are not ``used``, unless one is being opened just now."""
        with self._lock:
            held = {(number, key) for number, key in self._held if number == self.link.connections}
            unused = set() if self._opening else {(number, key) for number, key in held if key not in used}
            self._held = held - unused
        for _, key in unused:
            self.link.ask(Release(key), _RELEASE_S)


@dataclass(frozen=True, slots=True)
class PendingPicture:
    """A picture that was asked for."""

    face: Face
    parameters: PictureParameters
    answer: Future[Frame]

    @property
    def is_done(self) -> bool:
        return self.answer.done()

    def result(self) -> Frame:
        """Returns the picture. Raises RequestError; a face whose identity was forgotten opens it again."""
        try:
            return self.answer.result()
        except RequestError as error:
            self.face.note(error)
            raise


@dataclass(frozen=True, slots=True)
class _Opening:
    """An identity on its way."""

    anchor: Anchor
    answer: Future[Identity]


class Face:
    """One face's identity: opened when it is first needed, kept, and opened again if the service forgets it.

    An identity that is refused for good is not asked for again until the face becomes somebody else, or ``forget`` is
    called. After a transient error it is asked for again at the next ``poll``.
    """

    def __init__(self) -> None:
        self.key = ""  # the service's name of the open identity
        self.refusal: RequestError | None = None  # why it is not open
        self._opening: _Opening | None = None
        self._anchor: Anchor | None = None  # whom ``key`` or ``refusal`` belongs to; None: to be opened

    @property
    def is_opening(self) -> bool:
        return self._opening is not None

    @property
    def is_unsettled(self) -> bool:
        """Whether ``poll`` could change anything: it is being opened, or may be opened again."""
        return self.is_opening or (self.refusal is not None and self.refusal.is_transient)

    def forget(self) -> None:
        """Forgets the open identity, because the service has lost it or was replaced by another one."""
        self.key, self.refusal, self._opening, self._anchor = "", None, None, None

    def note(self, error: RequestError) -> None:
        """Notes the error of a request with ``key``."""
        if error.has_forgotten:
            self.forget()

    def poll(self, identities: Identities, anchor: Anchor) -> bool:
        """Opens ``anchor`` without waiting. Returns True when it has just become open. Raises RequestError."""
        opened = False
        if self._opening is not None and self._opening.answer.done():
            opening, self._opening = self._opening, None
            if opening.anchor == anchor:  # else the face became somebody else meanwhile
                try:
                    self.key, self.refusal, opened = opening.answer.result().identity, None, True
                except RequestError as error:
                    self._refuse(error)
                    raise
        if self._opening is None and self._anchor != anchor:
            self.key, self.refusal, self._anchor = "", None, anchor
            self._opening = _Opening(anchor, identities.open(anchor.request()))
        return opened

    def _refuse(self, error: RequestError) -> None:
        self.refusal = error
        if error.is_transient:
            self._anchor = None

    def open_now(self, identities: Identities, anchor: Anchor) -> str:
        """Opens ``anchor``, waits, and returns its key. Raises RequestError."""
        if not self.key or self._anchor != anchor:
            self.forget()
            self.key = identities.link.wait(identities.open(anchor.request()), OPEN_S).identity
            self._anchor = anchor
        return self.key

    def ask(
        self,
        link: Link,
        parameters: PictureParameters,
        timeout: float,
        encoding: Encoding = "rgba8",
        passes: tuple[PassName, ...] = (),
        metres: tuple[float, float] = (HEAD_UNIT, 0.0),
    ) -> PendingPicture:
        """Asks for the final picture of an open identity, and ``passes`` beside it.

        ``metres`` as in PictureParameters.request.
        """
        request = parameters.request(self.key, "final", encoding, passes=passes, metres=metres)
        return PendingPicture(self, parameters, link.ask(request, timeout))

    def paint(self, identities: Identities, anchor: Anchor, parameters: PictureParameters, timeout: float) -> Frame:
        """Asks for the final picture, waits, and returns it. Raises RequestError.

        If the service has forgotten the identity, because it was started again, it is opened once more.
        """
        for attempt in (1, 2):
            key = self.open_now(identities, anchor)
            try:
                frame: Frame = identities.link.call(parameters.request(key, "final"), timeout)
                return frame
            except RequestError as error:
                self.note(error)
                if not error.has_forgotten or attempt == 2:
                    raise
        raise AssertionError("unreachable")
