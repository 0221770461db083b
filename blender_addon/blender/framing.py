# SPDX-License-Identifier: GPL-3.0-or-later
"""A plate as a camera sees it: filling its picture, rolled in it, and where in it."""

from __future__ import annotations

import math
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix


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


def _seen(camera: bpy.types.Object, plate: np.ndarray) -> Matrix:
    """``plate`` in the camera's frame, whose own size does not count."""
    place, turn, _ = camera.matrix_world.decompose()
    return Matrix.LocRotScale(place, turn, None).inverted() @ Matrix(plate.tolist())
