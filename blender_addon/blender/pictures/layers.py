# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers for a compositor: the exact pictures of a frame range as OpenEXR files with normals, depth and albedo.

They lie beside what a bake writes, and change nothing in the scene.
"""

from __future__ import annotations

import contextlib

import bpy
import numpy as np

from effigy_protocol.files import write_whole
from effigy_protocol.messages import PassName
from effigy_protocol.record import JOURNAL, Journal, Record, picture_file, shows

from ..scene.controls import eye_on
from ..scene.reader import FaceState, view_by
from .bake import folder_of
from .walk import Step, Walk

_PASSES: tuple[PassName, ...] = ("normal", "depth", "albedo")


class Layers:
    """Writes the layers frame by frame, without blocking. It resumes where it was stopped."""

    def __init__(self, proxy: bpy.types.Object, scene: bpy.types.Scene) -> None:
        """Raises BakeError when there is nowhere to write."""
        self.folder = folder_of(proxy) / "layers"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.done = 0
        self.painted = 0
        self._journal = Journal(self.folder / JOURNAL)
        self._metres: dict[int, tuple[float, float]] = {}
        frames = range(scene.frame_start, scene.frame_end + 1)
        self.walk = Walk(proxy, scene, frames, "exr", self._is_there, _PASSES, self._metres.__getitem__)

    def _is_there(self, frame: int, wanted: FaceState) -> bool:
        """Returns whether the frame's file is up to date. First called while the scene is at that frame."""
        if frame not in self._metres:
            self._metres[frame] = metres_of(*self.walk.lookup())
        return shows(picture_file(self.folder, frame, "exr"), self._record(frame, wanted).digest)

    def _record(self, frame: int, wanted: FaceState) -> Record:
        anchor, parameters = self.walk.anchor, wanted.parameters
        made_of = anchor.model, anchor.latent_bytes(), parameters.yaw, parameters.pitch, parameters.controls
        return Record.of(*made_of, "exr", parameters.matte, _PASSES, self._metres[frame], parameters.keep)

    def step(self) -> int:
        """Writes files that have come; returns how many frames are done. Never blocks."""
        for step in self.walk.step():
            self._keep(step)
        return self.done

    def _keep(self, step: Step) -> None:
        path = picture_file(self.folder, step.frame, "exr")
        if step.picture is not None:  # the backend has written into its header what it shows
            write_whole(path, bytes(step.picture.data))
            self.painted += 1
        self.done += 1
        self._journal.put(step.frame, self._record(step.frame, step.moment), path.name)
        self._journal.save_when_due()

    def finish(self) -> None:
        self._journal.save()
        self.walk.go_back()

    def abandon(self) -> None:
        """Stops; the files that were written stay."""
        with contextlib.suppress(OSError):
            self._journal.save()
        self.walk.go_back()


def metres_of(proxy: bpy.types.Object, scene: bpy.types.Scene) -> tuple[float, float]:
    """Returns the metres of a head unit, and from the camera's plane to the head's origin, in the present scene."""
    depsgraph = bpy.context.evaluated_depsgraph_get()
    camera = eye_on(proxy, scene)
    head = np.array(proxy.evaluated_get(depsgraph).matrix_world, np.float64)
    view = view_by(camera, head, depsgraph)
    metre = float(scene.unit_settings.scale_length)
    size = float(np.cbrt(abs(np.linalg.det(head[:3, :3]))))
    return metre * size, metre * float((view.camera[:3, 3] - head[:3, 3]) @ view.axes[:, 2])
