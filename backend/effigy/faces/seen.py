# SPDX-License-Identifier: Apache-2.0
"""The landmarks in a painted picture, as the face model's regressor reads them from its latent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError

from ..editing import Parameters
from ..editing.parameters import ALPHA
from ..geometry import ShapeModel, Topology, project
from ..geometry.camera import Array
from ..geometry.gauge import contour_visibility

_SHOWN = 0.5  # a landmark's visibility, above which it counts as seen


@dataclass(frozen=True, slots=True)
class Seen:
    """The landmarks in one picture."""

    points: Array  # [3, L]: u, v in [0, 1]; and height above the head's origin to the viewer, in picture widths
    is_visible: NDArray[np.bool_]  # [L]: False on the side that a turned face hides
    scale: float  # picture widths per head unit

    @classmethod
    def of(cls, q: Array, shape: ShapeModel, topology: Topology) -> Seen:
        """Projects the landmarks of one q [Q]."""
        camera = Parameters.from_vector(q[None]).camera
        X = shape.shape(q[None, ALPHA])
        height = camera.s[:, None, None] * (camera.R[:, 2:] @ X)
        visible = contour_visibility(camera, topology)[0] > _SHOWN
        return cls(np.concatenate([project(X, camera), height], axis=1)[0], visible, float(camera.s[0]))

    def visible(self) -> Array:
        """Returns the visible points, [3, ≤ L]."""
        return self.points[:, self.is_visible]

    def face(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Returns a mask of ``shape`` (H, W): 1 in the convex hull of the visible points, 0 outside.

        It is 0 everywhere if they lie on a line.
        """
        height, width = shape
        try:
            hull = ConvexHull(self.visible()[:2].T)
        except (QhullError, ValueError):
            return np.zeros((height, width), np.float32)
        v, u = np.mgrid[:height, :width]
        places = np.stack([(u + 0.5) / width, (v + 0.5) / height, np.ones((height, width))], axis=-1)
        return np.asarray((places @ hull.equations.T <= 0).all(axis=-1), np.float32)
