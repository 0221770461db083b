# SPDX-License-Identifier: GPL-3.0-or-later
"""Cache: the exact pictures of a frame range in memory, where the preview finds them by what they were made from."""

from __future__ import annotations

from typing import Any

import bpy

from effigy_protocol.record import what_differs

from ..scene.properties import face_of
from ..scene.reader import FaceState
from ..translation import rpt_
from . import session
from .session import FaceRun, state
from .walk import Walk, WalkError

_BYTES = 4  # of a pixel


class Cache:
    """One pass over a scene's frame range."""

    def __init__(self, proxy: bpy.types.Object, scene: bpy.types.Scene) -> None:
        """Raises WalkError when the range does not fit into memory."""
        image, frames = face_of(proxy).image, range(scene.frame_start, scene.frame_end + 1)
        self.done = 0  # frames that are in memory
        self._run = session.run_of(proxy)
        size = _BYTES * image.size[0] * image.size[1] if image is not None else 0
        if size * len(frames) > state.memory.limit:
            raise WalkError(
                rpt_(
                    "{} frames take {} MiB, the cache holds {}: give it more in the add-on's preferences "
                    "(Picture Memory), shorten the scene's frame range, or bake",
                    len(frames),
                    size * len(frames) >> 20,
                    state.memory.limit >> 20,
                )
            )
        self.walk = Walk(proxy, scene, frames, "rgba8", lambda _, wanted: state.memory.touch(self._key(wanted)))

    def step(self) -> int:
        for step in self.walk.step():
            self._run.cached[step.frame] = self._key(step.wanted)
            if step.picture is not None:
                picture = step.picture
                state.memory.put(self._key(step.wanted), picture.data, picture.height, picture.width, picture.clamped)
            self.done += 1
        return self.done

    def finish(self) -> None:
        self.walk.go_back()

    def abandon(self) -> None:
        self.walk.go_back()

    def _key(self, wanted: FaceState) -> tuple[object, ...]:
        return *self.walk.anchor, wanted.parameters


def state_of(run: FaceRun, frame: int, key: tuple[object, ...]) -> tuple[str, list[str]]:
    """ "fresh" where ``frame`` was cached as it is now asked for (``key``), "stale" if otherwise, "" if it is not.

    And what a stale one has another of.
    """
    if frame not in run.cached:
        return "", []
    if run.cached[frame] != key:
        return "stale", what_differs(_parts(run.cached[frame]), _parts(key))
    return "fresh" if key in state.memory else "", []  # other frames may have taken its place


def _parts(key: Any) -> dict[str, Any]:
    model, latent, (yaw, pitch, controls) = key
    return {"model": model, "latent": latent, "yaw": yaw, "pitch": pitch, "controls": controls}
