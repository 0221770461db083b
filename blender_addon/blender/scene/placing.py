# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a new face stands, and its camera: at the 3D cursor, or in a row that the scene's camera sees."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from mathutils import Matrix, Vector

from effigy_client.pose import Angles, plate_matrix

from . import controls, display, framing, plate
from .properties import face_of
from .queries import faces

LENS_MM = 85.0  # a portrait lens
SENSOR_MM = 36.0
_FRONT = Matrix(((1, 0, 0), (0, 0, -1), (0, 1, 0)))  # of a camera that looks along +Y
_STILL = 1e-4
_ROOM = 1.1  # plates from one middle to the next
HEAD_HEIGHT = 2.6  # head units from chin to crown: adults' eyes are 92 mm apart at their outer corners


def put_in_place(scene: bpy.types.Scene, proxy: bpy.types.Object, camera: bpy.types.Object, height: float) -> None:
    """Places a new face at the 3D cursor, or beside a face that is there.

    It is ``height`` metres high from chin to crown; in a scene with faces as large as the last of them. Then a camera
    that nobody has moved since it came with its face steps back until it sees both, and the new face looks into it.
    """
    others = [other for other in faces(scene) if other != proxy]
    proxy.scale = ((others[-1].matrix_world.median_scale if others else height / HEAD_HEIGHT),) * 3
    place = _free_place(scene, proxy)
    watcher = scene.camera if place != scene.cursor.location and _is_as_it_came(scene) else None
    if watcher is not None:
        row = [other for other in faces(scene) if other != proxy and is_seen(scene, other)]
        proxy.matrix_world = Matrix.LocRotScale(place, None, proxy.scale)
        framing.step_back(watcher, scene, [_disc(face) for face in (*row, proxy)])
    _stand(proxy, camera, place, watcher)


def frame(proxy: bpy.types.Object, grown: float = 1.0) -> None:
    """Points the rig's camera at the plate's middle; an artist's own camera is left alone.

    If the plate has ``grown`` by a factor, the camera still shows as much of the picture as before.
    """
    face = face_of(proxy)
    if face.camera is not None and face.camera.type == "CAMERA":
        x, y = face.plate_offset
        face.camera.data.shift_x, face.camera.data.shift_y = x / face.plate_size, y / face.plate_size
        face.camera.data.lens /= grown
        face.camera.data.ortho_scale *= grown


def is_seen(scene: bpy.types.Scene, proxy: bpy.types.Object) -> bool:
    """Returns whether the scene's camera has the middle of the face in its picture."""
    camera = controls.camera_of(proxy, scene)
    return camera is not None and framing.sees(camera, scene, proxy.matrix_world.translation)


def _stand(
    proxy: bpy.types.Object, camera: bpy.types.Object, location: Vector, watcher: bpy.types.Object | None
) -> None:
    """Places the head at ``location`` in its own pose, as ``watcher`` sees it, and its camera in front, so that the
    plate fills its frame from top to bottom.
    """
    face = face_of(proxy)
    proxy.matrix_world = Matrix.LocRotScale(location, None, proxy.scale)
    axes = _FRONT if watcher is None else Matrix(controls.view_of(proxy, watcher).axes.tolist())
    distance = face.plate_size * proxy.scale.x * LENS_MM / SENSOR_MM
    lens: Any = camera.data
    lens.clip_start = min(lens.clip_start, distance / 10)
    lens.display_size = proxy.scale.x  # drawn as wide as the eyes are apart: Blender's metre would hide the head
    camera.matrix_world = Matrix.Translation(location) @ axes.to_4x4() @ Matrix.Translation((0, 0, distance))
    frame(proxy)
    controls.turn(proxy, camera, Angles(face.rest_yaw, face.rest_pitch, face.rest_roll))
    seen, roll = controls.view_of(proxy, camera), face.rest_roll
    plate.place(proxy, plate_matrix(seen, roll, roll, face.plate_size, face.plate_offset))


def _free_place(scene: bpy.types.Scene, proxy: bpy.types.Object) -> Vector:
    """Returns the 3D cursor, or a place beside the faces that stand there already: right, left, farther right …"""
    taken = [other.matrix_world.translation for other in faces(scene) if other is not proxy]
    cursor, width = scene.cursor.location.copy(), _ROOM * face_of(proxy).plate_size * proxy.scale.x
    place, number = cursor.copy(), 0
    while any((place - other).length < 0.5 * width for other in taken):
        number += 1
        place.x = cursor.x + width * ((number + 1) // 2) * (1 if number % 2 else -1)
    return place


def _disc(proxy: bpy.types.Object) -> tuple[Vector, float]:
    """Returns the middle of a face, and half the width that it takes."""
    world = proxy.matrix_world
    return world.translation.copy(), 0.5 * _ROOM * face_of(proxy).plate_size * world.median_scale


def _is_as_it_came(scene: bpy.types.Scene) -> bool:
    """Returns whether the scene's camera came with a face, still stands in front of it, and was not set for exact
    pixels.
    """
    camera = scene.camera
    owner: Any = next((proxy for proxy in faces(scene) if face_of(proxy).camera == camera), None)
    if camera is None or owner is None or camera.library is not None or camera.type != "CAMERA":
        return False
    if camera.data.type != "PERSP":  # which sees no more from farther away
        return False
    if camera.animation_data or camera.data.animation_data or camera.parent or len(camera.constraints):
        return False
    if any(node.interpolation == "Closest" for node in display.picture_nodes(owner)):
        return False
    turned = np.array(camera.matrix_world.to_3x3()) - np.array(_FRONT)
    aside = camera.matrix_world.translation - owner.matrix_world.translation
    return bool(np.abs(turned).max() < _STILL and abs(aside.x) < _STILL and abs(aside.z) < _STILL and aside.y < 0)
