# SPDX-License-Identifier: Apache-2.0
"""The camera: scaled orthographic, framed by the neutral face as portraits are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .kernels import turn

PIVOT = np.array([0.0, -8.5, 0.5], np.float32)  # where the neck turns
CROWN = np.array([0.0, 4.0, 1.5], np.float32)  # a point that moves little in a nod
NECK = (0.45, 0.30)  # share of the head's yaw and pitch that the shoulders turn with it
NOD = 2.5  # cm by which the frame rises as the head nods, times the sine of the angle: the hair on top becomes visible
WIDE = 0.595  # frame size over face size: hair stays inside at every turn


@dataclass(frozen=True, slots=True)
class Camera:
    """Camera space is head space turned; pixels have y down and their origin at the upper left corner."""

    head: NDArray[np.float32]  # [3, 3] rotation of the head
    shoulders: NDArray[np.float32]  # and of the shoulders
    centre: NDArray[np.float32]  # [2] cm
    scale: np.float32  # pixels per cm
    size: int

    @classmethod
    def of(cls, face: NDArray[np.float32], yaw: float, pitch: float, size: int) -> Camera:
        """Makes the camera for a neutral face of 68 points ``face`` [68, 3]; angles in radians."""
        rotation = turn_of(yaw, pitch)
        eyes, mouth = face[36:42].mean(axis=0) - face[42:48].mean(axis=0), 0.5 * (face[48] + face[54])
        between = 0.5 * (face[36:42].mean(axis=0) + face[42:48].mean(axis=0))
        half = WIDE * (2.0 * np.linalg.norm(eyes) + 1.8 * np.linalg.norm(mouth - between))
        seen_eyes, seen_mouth, crown = ((point - PIVOT) @ rotation.T + PIVOT for point in (between, mouth, CROWN))
        face_centre = seen_eyes + 0.08 * (seen_mouth - seen_eyes)
        centre = 0.5 * face_centre[:2] + 0.5 * crown[:2] + np.array([0, 0.42 + NOD * np.sin(pitch)])
        shoulders = turn_of(NECK[0] * yaw, NECK[1] * pitch)
        return cls(rotation, shoulders, centre.astype(np.float32), np.float32(size / (2 * half)), size)

    def turn(self, points: NDArray[np.float32], turns: NDArray[np.float32]) -> NDArray[np.float32]:
        """Maps head space to camera space; ``turns`` as from ``how_far_turned``."""
        return self.turn_directions(points - PIVOT, turns) + PIVOT

    def turn_directions(self, directions: NDArray[np.float32], turns: NDArray[np.float32]) -> NDArray[np.float32]:
        out = np.empty(directions.shape, np.float32)
        turn(directions.reshape(-1, 3), turns.reshape(-1), self.head, self.shoulders, out.reshape(-1, 3))
        return out

    def project(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Maps camera space to pixels, with the depth in cm."""
        out = np.empty(points.shape, np.float32)
        out[..., 0] = (points[..., 0] - self.centre[0]) * self.scale + self.size / 2
        out[..., 1] = self.size / 2 - (points[..., 1] - self.centre[1]) * self.scale
        out[..., 2] = points[..., 2]
        return out


def turn_of(yaw: float, pitch: float) -> NDArray[np.float32]:
    """Returns the rotation matrix: first yaw around y, then pitch around x (radians)."""
    c, s = np.cos(yaw), np.sin(yaw)
    around_y = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    c, s = np.cos(pitch), np.sin(pitch)
    around_x = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    return (around_x @ around_y).astype(np.float32)


def how_far_turned(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the share of the head's rotation: 1 at the head, 0 at the shoulders, smooth along the neck."""
    base = -14.3 - 0.24 * points[..., 2]
    t: NDArray[np.float32] = np.clip((points[..., 1] - base) / 6.0, 0, 1)
    return t * t * (3 - 2 * t)
