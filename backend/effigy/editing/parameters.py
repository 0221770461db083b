# SPDX-License-Identifier: Apache-2.0
"""q = (camera, α), what a picture shows, as the vector that the regressor gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from ..geometry.camera import POSE, ROTATION, SCALE, SHIFT, Array, Camera

__all__ = ["ALPHA", "POSE", "ROTATION", "SCALE", "SHIFT", "Parameters"]

ALPHA = slice(POSE, None)  # the shape coefficients, after the pose


@dataclass(frozen=True, slots=True)
class Parameters:
    """The cameras of N faces and their shape coefficients α [N, K]."""

    camera: Camera
    alpha: Array

    def to_vector(self) -> Array:
        """Returns q [N, POSE + K]: rotation vector in radians, log scale, translation, α."""
        rotvec = Rotation.from_matrix(self.camera.R).as_rotvec()
        return np.concatenate([rotvec, np.log(self.camera.s)[:, None], self.camera.t, self.alpha], axis=1)

    @staticmethod
    def from_vector(q: Array) -> Parameters:
        """Inverts ``to_vector``, for rotations of less than 180°."""
        R = Rotation.from_rotvec(q[:, ROTATION]).as_matrix()
        return Parameters(Camera(R, np.exp(q[:, SCALE]), q[:, SHIFT]), q[:, ALPHA])
