# SPDX-License-Identifier: Apache-2.0
"""Straightens the points that the network finds, so that a nod is as large in the picture as it is.

In the picture plane the points show only about 70 % of a nod; the rest is in their depth, and in how the mesh bends.
Both are facts of the network, which ``recipes/photo/straightening.py`` learnt once on renders whose turn is known.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.spatial.transform import Rotation

from .crop import Array
from .pose import average, head
from .reader import POINTS
from .weights import read_shipped

FILE = "straightening.npz"
# Corners of the eyes, bridge and wings of the nose, and where the face ends before the ears: what expressions hardly
# move, by which fits of shape models define a pose too.
_RIGID = [33, 133, 263, 362, 168, 6, 48, 278, 234, 454]
_ROUNDS = 2  # of small rotations
MONOMIALS = 6
_MESH = 3 * POINTS


@dataclass(frozen=True, slots=True)
class Straightening:
    """How the network shows turned heads: what a turn is read from, and how it bends the mesh."""

    turn: Array  # [6 + 3 · 478, 2]: monomials of the turn shown, and the settled mesh, → yaw and pitch in radians
    bend: Array  # [6, 3 · 478]: monomials of the true turn → what a settled mesh has too much (outer-eye distances)

    def read(self, mesh: Array, yaw: float, pitch: float) -> tuple[float, float]:
        """Returns the true yaw and pitch of a head whose points show ``yaw`` and ``pitch``, in radians.

        ``mesh`` [3, 478] is settled.
        """
        yaw, pitch = (np.concatenate([monomials(yaw, pitch), mesh.reshape(-1)]) @ self.turn).tolist()
        return yaw, pitch

    def straightened(self, points: Array) -> Array:
        """Returns where ``points`` [478, 3] of a ``Face`` should be in the picture, [478, 2]. Raises DetectorError."""
        found = head(points)
        mesh, (*shown, roll) = settle(found.points), angles(found.R)
        yaw, pitch = self.read(mesh, *shown)
        straight = mesh - (monomials(yaw, pitch) @ self.bend).reshape(3, -1)
        flat = found.size * (rotation(yaw, pitch, roll) @ straight)[:2].T * [1, -1]
        moved: Array = flat - flat.mean(axis=0) + points[:, :2].mean(axis=0)
        return moved


def settle(mesh: Array) -> Array:
    """Turns a ``mesh`` [3, 478] that looks ahead so that, seen from ahead, its rigid points lie as an average face's.

    Size and place do not matter. Rotations are linearised, so it must lean by a few degrees at most. Otherwise what a
    mesh itself shows of a nod would be added to the turn that it is given. Raises DetectorError.
    """
    wanted = average()[:, _RIGID]
    wanted = wanted - wanted.mean(axis=1, keepdims=True)
    for _ in range(_ROUNDS):
        rigid = mesh[:, _RIGID] - mesh[:, _RIGID].mean(axis=1, keepdims=True)
        moves = [*(np.cross(axis, rigid, axisb=0, axisc=0) for axis in np.eye(3)), rigid]
        design = np.stack([move[:2].reshape(-1) for move in moves], axis=1)
        turn = np.linalg.lstsq(design, (wanted - rigid)[:2].reshape(-1), rcond=None)[0][:3]
        mesh = Rotation.from_rotvec(turn).as_matrix() @ mesh
    return mesh


def angles(R: Array) -> tuple[float, float, float]:
    """Returns yaw, pitch and roll of R [3, 3] = Rz(roll) · Rx(−pitch) · Ry(yaw), in radians.

    They are those of ``geometry.angles``, which landmarks may not import.
    """
    roll, nod, yaw = Rotation.from_matrix(R).as_euler("ZXY").tolist()
    return yaw, -nod, roll


def rotation(yaw: float, pitch: float, roll: float) -> Array:
    """Returns the R [3, 3] that has these ``angles``."""
    return np.asarray(Rotation.from_euler("ZXY", [roll, -pitch, yaw]).as_matrix())


def monomials(yaw: float, pitch: float) -> Array:
    """Returns 1, yaw, pitch, yaw², pitch² and yaw · pitch, [6]."""
    return np.array([1.0, yaw, pitch, yaw**2, pitch**2, yaw * pitch])


@cache
def straightening() -> Straightening:
    """Returns what comes with Effigy. Raises DetectorError where its file is missing or is another."""
    with np.load(io.BytesIO(read_shipped(FILE))) as arrays:
        turn, bend = (arrays[name].astype(np.float64) for name in ("turn", "bend"))
    return Straightening(turn, bend)
