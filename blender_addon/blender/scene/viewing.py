# SPDX-License-Identifier: GPL-3.0-or-later
"""A 3D viewport's own view: what it shows, and from where."""

from __future__ import annotations

import bpy
from mathutils import Matrix, Vector

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
    sight, unit = Matrix(controls.view_of(proxy, eye).sight.tolist()), proxy.matrix_world.median_scale
    x, y = face.plate_offset
    view.view_location = proxy.matrix_world.translation + sight @ Vector((x * unit, y * unit, 0.0))
    view.view_rotation = sight.to_quaternion()
    edge = max(region.width, region.height) / max(min(region.width, region.height), 1)
    view.view_distance = _ROOM * face.plate_size * unit * edge * space.lens / _FILM_MM
    space.clip_start = min(space.clip_start, view.view_distance / 10)
