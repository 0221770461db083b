# SPDX-License-Identifier: GPL-3.0-or-later
"""Goes through the frames of a scene and gets their exact pictures, for baking and caching."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import bpy

from effigy_client import sequence
from effigy_client.sequence import Sequence, SequenceError
from effigy_protocol.messages import HEAD_UNIT, Encoding, PassName

from .. import preferences
from ..scene.properties import face_of
from ..scene.queries import name_of
from ..scene.reader import FaceState, read_face
from ..translation import rpt_
from .runs import anchor_of, run_of
from .session import session

Step: TypeAlias = sequence.Step[FaceState]


class WalkError(SequenceError):
    """The walk cannot continue; the message says why."""


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
        metres: Callable[[int], tuple[float, float]] = lambda frame: (HEAD_UNIT, 0.0),
    ) -> None:
        self._proxy, self._scene = name_of(proxy), scene.name
        self._before = scene.frame_current
        self.anchor = anchor_of(proxy)
        face = run_of(proxy).follower.face
        self._sequence = Sequence(
            session, face, self.anchor, frames, self._read, skip, _patience, encoding, passes, metres
        )

    @property
    def total(self) -> int:
        return self._sequence.total

    @property
    def is_done(self) -> bool:
        return self._sequence.is_done

    def step(self) -> list[Step]:
        """Returns finished frames, in order, without blocking. Raises SequenceError or UnreadableError."""
        return self._sequence.step()

    def wait(self, seconds: float) -> None:
        """Waits for the next answer, at most ``seconds``; for scripts."""
        self._sequence.wait(seconds)

    def _read(self, frame: int) -> FaceState:
        proxy, scene = self.lookup()
        if bpy.context.scene != scene:
            raise WalkError(rpt_("the window shows another scene: go back to {}, and start again", scene.name))
        scene.frame_set(frame)
        return read_face(proxy, scene, bpy.context.evaluated_depsgraph_get())

    def go_back(self) -> None:
        """Ends the walk: cancels what is not painted yet, and goes back to the frame that was current before."""
        self._sequence.stop()
        scene = bpy.data.scenes.get(self._scene)
        if scene is not None:
            scene.frame_set(self._before)

    def lookup(self) -> tuple[bpy.types.Object, bpy.types.Scene]:
        """Returns the face and its scene. Raises WalkError when either is gone, or the face is somebody else."""
        scene = bpy.data.scenes.get(self._scene)
        proxy: Any = bpy.data.objects.get(self._proxy)
        if scene is None or proxy is None or scene not in proxy.users_scene or face_of(proxy).plate is None:
            raise WalkError(rpt_("{} is gone from {}, or has another name or identity", self._proxy[0], self._scene))
        if anchor_of(proxy) != self.anchor:
            raise WalkError(rpt_("the identity of {} was changed", proxy.name))
        return proxy, scene


def _patience() -> float:
    return preferences.get().timeout
