# SPDX-License-Identifier: Apache-2.0
"""The landmarks that a face model reads in a picture that it painted."""

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

_SHOWN = 0.5  # of a landmark's visibility


@dataclass(frozen=True, slots=True)
class Seen:
    """``points`` [3, L]: u and v in [0, 1] of the picture, height towards the viewer from the head's origin in its
    widths. ``is_visible`` [L]: not on the side that a turned face hides. ``scale``: its widths to a head unit."""

    points: Array
    is_visible: NDArray[np.bool_]
    scale: float

    @classmethod
    def of(cls, q: Array, shape: ShapeModel, topology: Topology) -> Seen:
        """Of what the regressor reads, q [Q]."""
        camera = Parameters.from_vector(q[None]).camera
        X = shape.shape(q[None, ALPHA])
        height = camera.s[:, None, None] * (camera.R[:, 2:] @ X)
        visible = contour_visibility(camera, topology)[0] > _SHOWN
        return cls(np.concatenate([project(X, camera), height], axis=1)[0], visible, float(camera.s[0]))

    def visible(self) -> Array:
        """[3, ≤ L]: the points that are seen."""
        return self.points[:, self.is_visible]

    def face(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """[H, W]: 1 between the visible points, else 0; 0 everywhere where they lie on a line."""
        height, width = shape
        try:
            hull = ConvexHull(self.visible()[:2].T)
        except (QhullError, ValueError):
            return np.zeros((height, width), np.float32)
        v, u = np.mgrid[:height, :width]
        places = np.stack([(u + 0.5) / width, (v + 0.5) / height, np.ones((height, width))], axis=-1)
        return np.asarray((places @ hull.equations.T <= 0).all(axis=-1), np.float32)
