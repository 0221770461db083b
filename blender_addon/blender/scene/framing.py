# SPDX-License-Identifier: GPL-3.0-or-later
"""A plate as a camera sees it: filling its picture, rolled in it, and where in it."""

from __future__ import annotations

import math
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix, Vector


def fill_frame(camera: bpy.types.Object, plate: np.ndarray) -> None:
    """Sets the camera's lens and shift so that ``plate`` [4, 4] fills its picture.

    The camera stays where it is; one that has the plate behind it is left alone.
    """
    lens: Any = camera.data
    seen = _seen(camera, plate)
    x, y, z = seen.translation.x, seen.translation.y, seen.translation.z
    up = seen.col[1].to_3d().length
    if z < 0:
        lens.sensor_fit = "VERTICAL"
        lens.lens, lens.ortho_scale = -z * lens.sensor_height / up, up
        lens.shift_x, lens.shift_y = x / up, y / up


def roll_of(camera: bpy.types.Object, plate: np.ndarray) -> float:
    """Returns by how many degrees ``plate`` [4, 4] is rolled in the camera's picture."""
    along = _seen(camera, plate).col[0]
    return math.degrees(math.atan2(along.y, along.x))


def tears(roll: float, image: bpy.types.Image | None) -> bool:
    """Returns whether a roll of so many degrees moves any pixel of ``image`` onto another one."""
    return image is not None and abs(math.tan(math.radians(roll))) * max(image.size) > 1.0


def sees(camera: bpy.types.Object, scene: bpy.types.Scene, middle: Vector) -> bool:
    """Returns whether the point ``middle`` is in the camera's picture."""
    place = _place_of(camera).inverted() @ middle
    left, right, bottom, top = _edges(camera, scene)
    near = -place.z if camera.data.type == "PERSP" else 1.0
    return place.z < 0 and left < place.x / near < right and bottom < place.y / near < top


def step_back(camera: bpy.types.Object, scene: bpy.types.Scene, discs: list[tuple[Vector, float]]) -> None:
    """Moves the camera back, if need be, until ``discs`` (middles and radii) are in its picture."""
    place, left, right, bottom, top = _place_of(camera), *_edges(camera, scene)
    missing = 0.0
    for middle, radius in discs:
        x, y, z = place.inverted() @ middle
        edges = ((x + radius, right), (radius - x, -left), (y + radius, top), (radius - y, -bottom))
        missing = max([missing, *(reach / edge + z for reach, edge in edges if edge > 0)])
    camera.matrix_world = camera.matrix_world @ Matrix.Translation((0.0, 0.0, missing))


def _edges(camera: bpy.types.Object, scene: bpy.types.Scene) -> tuple[float, float, float, float]:
    """Returns left, right, bottom and top of the camera's picture; of a perspective one, at a distance of 1."""
    corners = camera.data.view_frame(scene=scene)
    near = -corners[0].z if camera.data.type == "PERSP" else 1.0
    across, up = [corner.x / near for corner in corners], [corner.y / near for corner in corners]
    return min(across), max(across), min(up), max(up)


def _place_of(camera: bpy.types.Object) -> Matrix:
    """Returns a camera's world matrix without its scale."""
    place, turn, _ = camera.matrix_world.decompose()
    return Matrix.LocRotScale(place, turn, None)


def _seen(camera: bpy.types.Object, plate: np.ndarray) -> Matrix:
    """Returns ``plate`` in the camera's frame."""
    return _place_of(camera).inverted() @ Matrix(plate.tolist())
