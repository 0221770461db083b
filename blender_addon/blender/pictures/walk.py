# SPDX-License-Identifier: GPL-3.0-or-later
"""Exact pictures of one frame after another: what baking and caching have in common.

A few frames are asked for ahead, so that the backend never waits for Blender. A backend that dies on the way
is started again (if it is this Blender's own) or waited for, and what it had not answered is asked again.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent import futures
from dataclasses import dataclass
from typing import Any

import bpy

from effigy_client.link import RequestError
from effigy_protocol.messages import Cancel, Encoding, Frame, PassName

from .. import preferences
from ..scene.properties import face_of, name_of
from ..scene.reader import FaceState, read_face
from ..translation import rpt_
from . import session

_AHEAD = 8  # frames on their way at once: twice what the backend paints together
_RESTARTS = 3  # of a dying backend, until it is taken for broken
_TRANSIENT = {
    "lost", "no-backend", "closed", "timeout", "unknown-identity", "shutting-down", "loading", "refused",
    "cancelled",  # a backend that heard nothing of this Blender for long has dropped what it asked
}  # fmt: skip


class WalkError(Exception):
    """The walk cannot go on; the message says why."""


@dataclass(slots=True)
class _Asked:
    frame: int
    wanted: FaceState
    answer: futures.Future[Any] | None  # None: nothing need be painted


@dataclass(frozen=True, slots=True)
class Step:
    """One frame that is done; ``picture`` is None where ``skip`` said that there is one already."""

    frame: int
    wanted: FaceState
    picture: Frame | None


class Walk:
    """Goes through the frames of a scene. Proxy and scene are looked up by name: references do not survive undo."""

    def __init__(
        self,
        proxy: bpy.types.Object,
        scene: bpy.types.Scene,
        frames: range,
        encoding: Encoding,
        skip: Callable[[int, FaceState], bool],
        passes: tuple[PassName, ...] = (),
    ) -> None:
        """``skip`` says of which frames nothing need be painted; ``passes`` come with every picture."""
        self.total = len(frames)
        self.done = 0
        self._proxy, self._scene = name_of(proxy), scene.name
        self._before = scene.frame_current
        self.anchor = session.anchor_of(proxy)
        self._open_request = session.open_request(proxy)
        self._encoding, self._skip, self._passes = encoding, skip, passes
        self._waiting = deque(frames)
        self._asked: deque[_Asked] = deque()
        self._again: deque[_Asked] = deque()  # read already, to be asked once more
        self._opening: futures.Future[Any] | None = None
        self._identity = ""
        self._restarts = 0
        self._lost_since: float | None = None

    @property
    def is_done(self) -> bool:
        return self.done == self.total

    def step(self) -> list[Step]:
        """What is finished, in the order of frames; never waits. Raises WalkError or UnreadableError."""
        finished = []
        while self._asked and (self._asked[0].answer is None or self._asked[0].answer.done()):
            asked = self._asked.popleft()
            try:
                picture = asked.answer.result() if asked.answer is not None else None
            except RequestError as error:
                self._recover(asked, error)
                break
            self.done += 1
            self._lost_since = None
            finished.append(Step(asked.frame, asked.wanted, picture))
        if not finished:
            self._send()
        return finished

    def wait(self, seconds: float) -> None:
        """For scripts: until the next answer is there, at most so long."""
        if self._asked and self._asked[0].answer is not None:
            futures.wait([self._asked[0].answer], timeout=seconds)
        else:  # a frame that is kept comes first, an identity opens, or a backend starts
            session.pause()

    def _send(self) -> None:
        if not self._is_open():
            return
        while len(self._asked) < _AHEAD and (self._again or self._waiting):
            asked = self._again.popleft() if self._again else self._read(self._waiting.popleft())
            asked.answer = None if self._skip(asked.frame, asked.wanted) else self._ask(asked.wanted)
            self._asked.append(asked)

    def _read(self, frame: int) -> _Asked:
        proxy, scene = self.lookup()
        if bpy.context.scene != scene:
            raise WalkError(rpt_("the window shows another scene: go back to {}, and start again", scene.name))
        scene.frame_set(frame)
        return _Asked(frame, read_face(proxy, scene, bpy.context.evaluated_depsgraph_get()), None)

    def _ask(self, wanted: FaceState) -> futures.Future[Any]:
        client = session.state.client
        assert client is not None
        request = wanted.request(self._identity, "final", self._encoding, passes=self._passes)
        return client.ask(request, preferences.get().timeout)

    def _is_open(self) -> bool:
        """Whether the identity is open; opens it without waiting."""
        if self._identity and session.state.client is not None:
            return True
        self._identity = ""
        if self._opening is None and session.is_ready():
            client = session.state.client
            assert client is not None
            self._opening = client.ask(self._open_request, session.OPEN_S)
        if self._opening is not None and self._opening.done():
            opening, self._opening = self._opening, None
            try:
                self._identity = opening.result().identity
            except RequestError as error:
                self._wait_for_backend(error)
        elif self._opening is None:
            link = session.link()
            why, hint = (link.detail, link.hint) if link else ("there is no backend", "start it")
            self._wait_for_backend(RequestError("no-backend", why, hint))
        return bool(self._identity)

    def _recover(self, asked: _Asked, error: RequestError) -> None:
        """Takes back all that is on its way, to be asked again in the same order."""
        self._again.extendleft(reversed([asked, *self._asked]))
        self._asked.clear()
        self._identity = ""
        self._wait_for_backend(error)

    def _wait_for_backend(self, error: RequestError) -> None:
        """Raises WalkError when waiting will not help, or has not for as long as the preferences say."""
        if error.code not in _TRANSIENT:
            raise WalkError(str(error)) from None
        now = time.monotonic()
        self._lost_since = self._lost_since or now
        if now - self._lost_since > preferences.get().timeout:
            raise WalkError(str(error)) from None
        backend = session.state.backend
        if backend is not None and backend.exit_code is not None:
            self._restarts += 1
            if self._restarts > _RESTARTS:
                raise WalkError(
                    rpt_("the backend died {} times: {}", _RESTARTS, backend.last_words() or backend.folder)
                )
            session.restart_backend()

    def go_back(self) -> None:
        """Ends the walk: takes back what is not painted yet, and shows the frame that was current before."""
        client = session.state.client
        if client is not None and any(asked.answer is not None and not asked.answer.done() for asked in self._asked):
            client.ask(Cancel(), session.OPEN_S)  # previews among them are asked for again
        scene = bpy.data.scenes.get(self._scene)
        if scene is not None:
            scene.frame_set(self._before)

    def lookup(self) -> tuple[bpy.types.Object, bpy.types.Scene]:
        scene = bpy.data.scenes.get(self._scene)
        proxy: Any = bpy.data.objects.get(self._proxy)
        if scene is None or proxy is None or scene not in proxy.users_scene or face_of(proxy).plate is None:
            raise WalkError(rpt_("{} is gone from {}", self._proxy[0], self._scene))
        if session.anchor_of(proxy) != self.anchor:
            raise WalkError(rpt_("the identity of {} was changed", proxy.name))
        return proxy, scene
