# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds objects between a camera and a face, or around both, such as Blender's default cube."""

from __future__ import annotations

import bpy
from mathutils import Vector

from .placing import HEAD_HEIGHT
from .properties import face_of

_SAMPLES = (-0.35, 0.0, 0.35)  # of the plate, along each of its edges, from its middle
_NEAR = 1e-3  # metres: a ray goes on behind what it has met
_MOST = 32  # things that one ray looks through
_AROUND = 9.0  # head heights: what reaches no farther around a face is no room that it stands in


def hiding(context: bpy.types.Context, proxy: bpy.types.Object, camera: bpy.types.Object) -> list[str]:
    """Returns the names of objects that hide the face's plate from ``camera``, or closely surround either."""
    plate = face_of(proxy).plate
    if plate is None:
        return []
    depsgraph = context.evaluated_depsgraph_get()
    around = _AROUND * HEAD_HEIGHT * proxy.matrix_world.median_scale
    found: dict[str, None] = {}
    for x in _SAMPLES:
        for y in _SAMPLES:
            _follow(depsgraph, camera, plate.matrix_world @ Vector((x, y, 0.0)), around, found)
    return list(found)


def _follow(
    depsgraph: bpy.types.Depsgraph, camera: bpy.types.Object, goal: Vector, around: float, found: dict[str, None]
) -> None:
    """Adds what a ray through the camera to ``goal`` meets on its way, from ``around`` it or from the camera."""
    eye = camera.matrix_world.translation
    if isinstance(camera.data, bpy.types.Camera) and camera.data.type == "ORTHO":
        ahead = camera.matrix_world.to_quaternion() @ Vector((0, 0, -1))
        eye = goal - ahead * (goal - eye).dot(ahead)
    way, reach = (goal - eye).normalized(), (goal - eye).length
    start = goal - way * max(reach, around)
    for _ in range(_MOST):
        left = (goal - start).length - _NEAR
        if left <= 0:
            return
        hit, place, _, _, obj, _ = depsgraph.scene.ray_cast(depsgraph, start, way, distance=left)
        if not hit:
            return
        is_face = face_of(obj).is_face or face_of(obj).owner  # a photograph, too: it is meant to cover the plate
        if not (obj.hide_render or is_face) and ((goal - place).length < reach or _encloses(obj, goal)):
            found[obj.name] = None
        start = place + way * _NEAR


def _encloses(obj: bpy.types.Object, point: Vector) -> bool:
    """Returns whether the point is within the object's bounding box."""
    corners = [Vector(corner) for corner in obj.bound_box]
    local = obj.matrix_world.inverted_safe() @ point
    return all(min(c[i] for c in corners) < local[i] < max(c[i] for c in corners) for i in range(3))
