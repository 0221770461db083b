# SPDX-License-Identifier: Apache-2.0
"""Converts world matrices, as Blender has them, to a face model's angles and to the plate's place.

Face frame: +X to the picture's right, +Y up, +Z out of the face. The proxy's local frame is
(x, y, z) = (X, −Z, Y): the face looks along −Y, as rigs do. A Blender camera's local frame (x right, y up,
z towards the viewer) is the camera frame of the face model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_ONE = np.eye(3)
_MIRROR = np.array([-1.0, 1.0, 1.0])  # of the columns
_FLOAT32 = 1e-6  # rounding of Blender's rotation matrices, at most 0.0001°
FACE_TO_LOCAL: Array = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])


@dataclass(frozen=True, slots=True)
class Angles:
    """Degrees. Yaw > 0 turns the nose to the picture's right, pitch > 0 lifts it, roll > 0 is counter-clockwise."""

    yaw: float
    pitch: float
    roll: float

    @property
    def mirrored(self) -> Angles:
        """The same turn with left and right exchanged."""
        return Angles(-self.yaw, self.pitch, -self.roll)


@dataclass(frozen=True)
class View:
    """Where head and camera stand in the world (4 × 4 matrices), and how the camera sees."""

    head: Array
    camera: Array
    perspective: bool

    @cached_property
    def axes(self) -> Array:
        """The axes [3, 3] of a camera that looks straight at the head: right, up and towards the viewer, as columns.

        They are the camera's own axes, turned by the smallest rotation that makes it look there.
        """
        axes = rotation_of(self.camera)
        if not self.perspective:
            return axes
        towards = self.camera[:3, 3] - self.head[:3, 3]
        distance = float(np.linalg.norm(towards))
        if distance < 1e-9:
            return axes
        return _smallest_rotation(axes[:, 2], towards / distance) @ axes


def landmarks_to_local(points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Maps landmarks [3, L] in the face frame to vertices [L, 3] in the proxy's local frame."""
    return np.ascontiguousarray((FACE_TO_LOCAL @ points).T)


def angles_of(view: View) -> Angles:
    """Returns the head's turn as the camera sees it: R = Rz(roll) · Rx(−pitch) · Ry(yaw)."""
    return angles_from(view.axes.T @ rotation_of(view.head) @ FACE_TO_LOCAL)


def angles_from(R: Array) -> Angles:
    """Returns the angles of R [3, 3], which takes the face frame to the camera's."""
    pitch = -math.asin(min(1.0, max(-1.0, R[2, 1])))
    return Angles(
        math.degrees(math.atan2(-R[2, 0], R[2, 2])),
        math.degrees(pitch),
        math.degrees(math.atan2(-R[0, 1], R[1, 1])),
    )


def head_rotation(angles: Angles, view: View) -> Array:
    """Returns the world rotation [3, 3] with which a head at ``view.head`` is seen under ``angles``."""
    y, p, r = (math.radians(a) for a in (angles.yaw, -angles.pitch, angles.roll))
    turn = np.array([[math.cos(y), 0, math.sin(y)], [0, 1, 0], [-math.sin(y), 0, math.cos(y)]])
    nod = np.array([[1, 0, 0], [0, math.cos(p), -math.sin(p)], [0, math.sin(p), math.cos(p)]])
    tilt = np.array([[math.cos(r), -math.sin(r), 0], [math.sin(r), math.cos(r), 0], [0, 0, 1]])
    return np.asarray(view.axes @ tilt @ nod @ turn @ FACE_TO_LOCAL.T)


def plate_matrix(view: View, roll: float, rest_roll: float, size: float, offset: tuple[float, float]) -> Array:
    """Returns the plate's world matrix [4, 4]: a square of ``size`` head units at the head that faces the camera.

    It is rolled by ``roll`` − ``rest_roll`` degrees, and its middle lies at ``offset`` (right, up; in head units) from
    the head's origin. So motion in the picture's plane is exact, and needs no other picture.
    """
    angle = math.radians(roll - rest_roll)
    tilt = np.array([[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]])
    plate = view.axes @ tilt
    unit = _scale(view.head)
    matrix = np.eye(4)
    matrix[:3, :3] = plate * (size * unit)
    matrix[:3, 3] = view.head[:3, 3] + plate[:, :2] @ np.asarray(offset) * unit
    return matrix


def _smallest_rotation(start: Array, end: Array) -> Array:
    """Returns the smallest rotation [3, 3] that turns the unit vector ``start`` to the unit vector ``end``."""
    cosine = float(start @ end)
    if cosine < -1 + 1e-9:  # the head is exactly behind the camera: any half turn will do
        other = np.eye(3)[int(np.argmin(np.abs(start)))]
        axis = np.array(_cross(start, other))
        axis /= np.linalg.norm(axis)
        return np.asarray(2 * np.outer(axis, axis) - np.eye(3))
    x, y, z = _cross(start, end)
    K = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + K + K @ K / (1 + cosine))


def _cross(a: Array, b: Array) -> tuple[float, float, float]:
    """Returns the cross product; numpy's takes ten times as long for one pair of vectors."""
    (a0, a1, a2), (b0, b1, b2) = a.tolist(), b.tolist()
    return a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0


def rotation_of(matrix: Array) -> Array:
    """Returns the rotation nearest to a world matrix, without scale and shear.

    A mirrored matrix counts as mirrored from left to right, as faces are.
    """
    part = matrix[:3, :3]
    volume = float(np.linalg.det(part))
    if volume < 0:
        part, volume = part * _MIRROR, -volume
    if volume > 0:
        plain = part / volume ** (1 / 3)
        # Nearly all matrices are a rotation with uniform scale, for which this is three times as fast.
        if np.abs(plain.T @ plain - _ONE).max() < _FLOAT32:
            return plain
    U, _, Vt = np.linalg.svd(part)
    if np.linalg.det(U @ Vt) < 0:  # flat: without volume
        U[:, 2] *= -1
    return np.asarray(U @ Vt)


def _scale(matrix: Array) -> float:
    """Returns the mean scale of a world matrix, the cube root of its determinant's size."""
    return float(abs(np.linalg.det(matrix[:3, :3])) ** (1 / 3))
