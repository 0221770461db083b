# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands between a camera and a face: Blender's default cube is the first that does."""

from __future__ import annotations

import bpy
from mathutils import Vector

from .properties import face_of

_SAMPLES = (-0.35, 0.0, 0.35)  # of the plate, along each of its edges, from its middle
_NEAR = 1e-3  # metres: a ray goes on behind what it has met
_MOST = 32  # things that one ray looks through


def hiding(context: bpy.types.Context, proxy: bpy.types.Object, camera: bpy.types.Object) -> list[str]:
    """The names of what renders before the face's plate, as ``camera`` sees it now."""
    plate = face_of(proxy).plate
    if plate is None:
        return []
    depsgraph = context.evaluated_depsgraph_get()
    found: dict[str, None] = {}
    for x in _SAMPLES:
        for y in _SAMPLES:
            _follow(depsgraph, camera, plate.matrix_world @ Vector((x, y, 0.0)), found)
    return list(found)


def _follow(depsgraph: bpy.types.Depsgraph, camera: bpy.types.Object, goal: Vector, found: dict[str, None]) -> None:
    """Adds what a ray from the camera to ``goal`` meets on its way."""
    eye = camera.matrix_world.translation
    if isinstance(camera.data, bpy.types.Camera) and camera.data.type == "ORTHO":
        ahead = camera.matrix_world.to_quaternion() @ Vector((0, 0, -1))
        eye = goal - ahead * (goal - eye).dot(ahead)
    way = (goal - eye).normalized()
    for _ in range(_MOST):
        left = (goal - eye).length - _NEAR
        if left <= 0:
            return
        hit, place, _, _, obj, _ = depsgraph.scene.ray_cast(depsgraph, eye, way, distance=left)
        if not hit:
            return
        if not (obj.hide_render or face_of(obj).is_face or face_of(obj).owner):
            found[obj.name] = None
        eye = place + way * _NEAR
