# SPDX-License-Identifier: GPL-3.0-or-later
"""A plate as a camera sees it: filling its picture, rolled in it, and where in it."""

from __future__ import annotations

import math
from dataclasses import dataclass
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
    """By how many degrees ``plate`` [4, 4] is rolled in the camera's picture."""
    along = _seen(camera, plate).col[0]
    return math.degrees(math.atan2(along.y, along.x))


def tears(roll: float, image: bpy.types.Image | None) -> bool:
    """Whether squares of ``image``, rolled by so many degrees, land on other pixels than their own."""
    return image is not None and abs(math.tan(math.radians(roll))) * max(image.size) > 1.0


@dataclass(frozen=True, slots=True)
class Backdrop:
    """Where a camera's background image lies, as Blender has it: see CameraBackgroundImage, frame method Fit."""

    offset: tuple[float, float]
    rotation: float
    scale: float


def backdrop(
    camera: bpy.types.Object, scene: bpy.types.Scene, plate: np.ndarray, size: tuple[int, int]
) -> Backdrop | None:
    """Where a background image of ``size`` (width, height) covers ``plate`` [4, 4]; None when that is not in front.

    The plate faces the camera's eye, the background its middle: beside the middle they agree in place, roll and size.
    """
    lens, seen = camera.data, _seen(camera, plate)
    corners = lens.view_frame(scene=scene)  # of a plane before the camera: right top, right bottom, left bottom, …
    wide, high = abs(corners[0].x - corners[3].x), abs(corners[0].y - corners[1].y)
    middle = (corners[0] + corners[2]) / 2
    place, along, near = seen.translation, seen.col[0].to_3d(), 1.0
    if lens.type == "PERSP":
        if place.z >= 0:
            return None
        near = middle.z / place.z
    move = Vector((place.x, place.y)) * near - Vector((middle.x, middle.y))
    if lens.type == "ORTHO":
        move /= lens.ortho_scale
    # Blender measures offsets by the shorter side of the picture, and upwards by the image's shape as well.
    aspect, shape = wide / high, size[0] / size[1]
    offset = move.x / min(1.0, aspect), move.y * max(1.0, aspect) * shape / aspect
    fitted = wide if shape > aspect else high * shape
    return Backdrop(offset, -math.atan2(along.y, along.x), along.length * near / fitted)


def _seen(camera: bpy.types.Object, plate: np.ndarray) -> Matrix:
    """``plate`` in the camera's frame, whose own size does not count."""
    place, turn, _ = camera.matrix_world.decompose()
    return Matrix.LocRotScale(place, turn, None).inverted() @ Matrix(plate.tolist())
