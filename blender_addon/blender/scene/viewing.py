# SPDX-License-Identifier: GPL-3.0-or-later
"""The view of a 3D viewport: turns it to a face, and uses it instead of the camera for *Follow View*."""

from __future__ import annotations

import bpy
import numpy as np
from mathutils import Matrix, Vector

from effigy_client.pose import View

from . import controls
from .properties import face_of

_ROOM = 1.15  # of what a view shows, for a plate
_FILM_MM = 72.0  # a viewport's lens draws on a film as wide as two of a camera's sensors, along the longer edge


def frame(
    space: bpy.types.SpaceView3D, region: bpy.types.Region, proxy: bpy.types.Object, eye: bpy.types.Object
) -> None:
    """Turns a viewport to a face as the camera ``eye`` sees it, close enough for its plate to fill the view.

    A view through a camera, or one that is locked, stays as it is.
    """
    view, face = space.region_3d, face_of(proxy)
    if view is None or view.view_perspective == "CAMERA" or view.lock_rotation:
        return
    axes, unit = Matrix(controls.view_of(proxy, eye).axes.tolist()), proxy.matrix_world.median_scale
    x, y = face.plate_offset
    view.view_location = proxy.matrix_world.translation + axes @ Vector((x * unit, y * unit, 0.0))
    view.view_rotation = axes.to_quaternion()
    edge = max(region.width, region.height) / max(min(region.width, region.height), 1)
    view.view_distance = _ROOM * face.plate_size * unit * edge * space.lens / _FILM_MM
    space.clip_start = min(space.clip_start, view.view_distance / 10)


class Viewpoint:
    """Follow View: the 3D viewport that was moved last looks at faces in the place of the scene's camera.

    It belongs to this run of Blender and to no file. Renders, bakes and caches are seen by the camera all the same.
    """

    def __init__(self) -> None:
        self._is_on = False
        self._eye: tuple[np.ndarray, bool] | None = None  # where it stands, and whether it sees in perspective
        self._known: dict[int, bytes] = {}  # the views of all viewports that were drawn

    @property
    def is_on(self) -> bool:
        return self._is_on

    @property
    def counts(self) -> bool:
        """Whether faces are seen from a viewport now; one that looks through the camera does not count."""
        return self._eye is not None

    def begin(self, view: bpy.types.RegionView3D) -> None:
        """Begins to follow viewports, with the view of this one."""
        self._is_on, self._known = True, {view.as_pointer(): b""}
        self.note(view)

    def end(self) -> None:
        self._is_on, self._eye = False, None
        self._known.clear()

    def note(self, view: bpy.types.RegionView3D) -> bool:
        """Looks at a viewport that is drawn; returns whether faces are now seen from elsewhere.

        A viewport that was never seen before has not been moved.
        """
        eye = np.array(view.view_matrix.inverted_safe(), dtype=np.float64)
        through = view.view_perspective
        known, now = self._known.get(view.as_pointer()), through.encode() + eye.tobytes()
        self._known[view.as_pointer()] = now
        if not self._is_on or known is None or known == now:
            return False
        before, self._eye = self._eye, None if through == "CAMERA" else (eye, through == "PERSP")
        return before is not None or self._eye is not None

    def look_at(self, head: np.ndarray) -> View | None:
        """Returns how the followed viewport sees a head at ``head`` [4, 4]; None if none is followed."""
        return None if self._eye is None else View(head, *self._eye)


viewpoint = Viewpoint()


def view_of(proxy: bpy.types.Object, camera: bpy.types.Object) -> View:
    """Returns how the face is seen now: from the followed viewport, or else by ``camera``."""
    seen = viewpoint.look_at(np.array(proxy.matrix_world, dtype=np.float64))
    return controls.view_of(proxy, camera) if seen is None else seen
