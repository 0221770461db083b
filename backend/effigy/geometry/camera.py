# SPDX-License-Identifier: Apache-2.0
"""The weak-perspective camera.

Face frame: right-handed, +X to the picture's right, +Y up, +Z out of the face; the unit is the outer
eye-corner distance of the mean shape. R = Rz(roll) · Rx(−pitch) · Ry(yaw) maps it to the camera frame;
u = s (R X)_x + t_x to the right and v = −s (R X)_y + t_y downwards, both in [0, 1] over the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

POSE = 6  # the parameters of a camera, in this order:
ROTATION, SCALE, SHIFT = slice(0, 3), 3, slice(4, 6)  # rotation vector in radians, log scale, translation


@dataclass(frozen=True, slots=True)
class Camera:
    """N weak-perspective cameras."""

    R: Array  # [N, 3, 3] rotations
    s: Array  # [N] picture widths per unit
    t: Array  # [N, 2] where the face's origin falls in the picture

    def __len__(self) -> int:
        return len(self.s)


def rotation(yaw: Array, pitch: Array, roll: Array) -> Array:
    """Angles [...] in radians → R [..., 3, 3].

    Yaw > 0 turns the nose to the picture's right, pitch > 0 lifts it, roll > 0 is counter-clockwise.
    """
    yaw, pitch, roll = np.broadcast_arrays(*(np.asarray(a, float) for a in (yaw, pitch, roll)))
    cy, sy, cp, sp, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    zero = np.zeros_like(cy)
    turn = np.stack([cy, zero, sy, -sp * sy, cp, sp * cy, -cp * sy, -sp, cp * cy], -1)
    tilt = np.stack([cr, -sr, zero, sr, cr, zero, zero, zero, zero + 1], -1)
    return tilt.reshape(*cy.shape, 3, 3) @ turn.reshape(*cy.shape, 3, 3)


def angles(R: Array) -> tuple[Array, Array, Array]:
    """R [..., 3, 3] → (yaw, pitch, roll) in radians; the inverse of ``rotation`` for |pitch| < 90°."""
    pitch = -np.arcsin(np.clip(R[..., 2, 1], -1, 1))
    return np.arctan2(-R[..., 2, 0], R[..., 2, 2]), pitch, np.arctan2(-R[..., 0, 1], R[..., 1, 1])


def project(X: Array, camera: Camera) -> Array:
    """Shapes X [N, 3, L] (or [3, L]) → picture points [N, 2, L]."""
    points: Array = camera.s[:, None, None] * (camera.R[:, :2] @ X)
    points[:, 1] *= -1
    return points + camera.t[:, :, None]


def nearest_rotation(M: Array) -> Array:
    """Returns the rotation nearest to each matrix of M [..., 3, 3] in the Frobenius norm (polar projection)."""
    U, _, Vt = np.linalg.svd(M)
    U[..., :, 2] *= np.sign(np.linalg.det(U @ Vt))[..., None]
    return U @ Vt
