# SPDX-License-Identifier: GPL-3.0-or-later
"""Cache: the exact pictures of a frame range in memory, where the preview finds them by what they were made from."""

from __future__ import annotations

from typing import Any

import bpy

from effigy_client.face import Anchor
from effigy_client.follower import Key, key_of
from effigy_client.limits import Limits
from effigy_client.pixels import Surface

from ..scene.properties import face_of
from ..scene.reader import FaceState
from ..translation import rpt_
from .runs import anchor_of, run_of, runs
from .walk import Walk, WalkError

_BYTES = 4  # of a pixel
_SURFACE_BYTES = 16  # of what lights it


class Cache:
    """One pass over a scene's frame range."""

    def __init__(self, proxy: bpy.types.Object, scene: bpy.types.Scene) -> None:
        """Raises WalkError when the range does not fit into memory."""
        image, frames = face_of(proxy).image, range(scene.frame_start, scene.frame_end + 1)
        self.done = 0  # frames that are in memory
        self._cached = run_of(proxy).cached
        depth = _BYTES + (_SURFACE_BYTES if face_of(proxy).lit else 0)
        size = depth * image.size[0] * image.size[1] if image is not None else 0
        if size * len(frames) > runs.memory.limit:
            raise WalkError(
                rpt_(
                    "{} frames take {} MiB, the cache holds {}: give it more in the add-on's preferences "
                    "(Picture Memory), shorten the scene's frame range, or bake",
                    len(frames),
                    size * len(frames) >> 20,
                    runs.memory.limit >> 20,
                )
            )
        self.walk = Walk(proxy, scene, frames, "rgba8", lambda _, wanted: runs.memory.touch(self._key(wanted)))

    def step(self) -> int:
        for step in self.walk.step():
            self._cached.keep(step.frame, self._key(step.moment), _values(self.walk.anchor, step.moment))
            if step.picture is not None:
                picture, asked = step.picture, step.moment.parameters
                size, surface = (picture.height, picture.width), Surface.of(picture, asked.matte)
                limits = Limits.of(picture, asked.controls)
                runs.memory.put(self._key(step.moment), picture.data, *size, limits, surface)
            self.done += 1
        return self.done

    def finish(self) -> None:
        self.walk.go_back()

    def abandon(self) -> None:
        self.walk.go_back()

    def _key(self, wanted: FaceState) -> Key:
        return key_of(self.walk.anchor, wanted.parameters)


def compare(proxy: bpy.types.Object, frame: int, wanted: FaceState) -> None:
    """Finds out whether ``frame`` was cached as it is now asked for."""
    anchor = anchor_of(proxy)
    key = key_of(anchor, wanted.parameters)
    run_of(proxy).cached.compare(frame, key, _values(anchor, wanted), runs.memory)


def _values(anchor: Anchor, wanted: FaceState) -> dict[str, Any]:
    return {**anchor._asdict(), **wanted.parameters.named()}
